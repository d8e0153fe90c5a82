"""What is out or about to go out: instances that are awake, their turns, and activities."""

import asyncio
import secrets
from dataclasses import dataclass, field
from itertools import count

from local.host.taskhub.sqlite.streams import Stream
from local.host.taskhub.sqlite.turns import Begun

# A turn costs a replay of the whole history, so completions that arrive close together share one:
# a short pause, and with a long history a pause in proportion to what the last replay took.
GATHER_SECONDS = 0.05
GATHER_PER_TURN = 2.0
MOST_GATHER_SECONDS = 1.0
LONGEST_BACK_OFF_SECONDS = 600.0

_start = secrets.token_hex(6)
_numbers = count(1)


def new_token() -> str:
    """A token that no other item has, nor had before a restart."""
    return f"{_start}-{next(_numbers)}"


def gather_seconds(turn_seconds: float) -> float:
    """How long completions gather when the last turn took so long."""
    return min(max(GATHER_SECONDS, GATHER_PER_TURN * turn_seconds), MOST_GATHER_SECONDS)


def back_off(losses: int) -> float:
    """Seconds before an item is handed out again: the first time at once, then ever later."""
    if losses <= 1:
        return 0.0
    return float(min(2.0 ** min(losses - 1, 20), LONGEST_BACK_OFF_SECONDS))


@dataclass(eq=False, slots=True)
class Turn:
    """A turn under way. The token is of this process alone: after a restart it no longer counts."""

    live: "Live"
    token: str
    stream: Stream | None
    since: float
    begun: Begun | None = None
    is_committing: bool = False


@dataclass(eq=False, slots=True)
class Live:
    """An instance that was awake since the hub's start and has not ended."""

    key: int
    id: str
    name: str
    version: str | None
    is_ready: bool = False
    is_wanted_again: bool = False
    turn: Turn | None = None
    turn_seconds: float = 0.0
    losses: int = 0
    returns: int = 0
    refused_by: set[Stream] = field(default_factory=set)
    gathering: asyncio.TimerHandle | None = None

    def begin(self, stream: Stream, now: float) -> Turn:
        """A new turn, with a new token."""
        self.is_wanted_again = False
        self.turn = Turn(self, new_token(), stream, now)
        return self.turn

    def turn_over(self, now: float) -> None:
        """The turn was committed."""
        self.losses = self.returns = 0
        self.refused_by.clear()
        if self.turn is not None:
            self.turn_seconds = now - self.turn.since

    def stop_gathering(self) -> None:
        """A turn is certain."""
        if self.gathering is not None:
            self.gathering.cancel()
            self.gathering = None


@dataclass(eq=False, slots=True)
class Activity:
    """An activity without a result. The token is its number in the file: it outlives a restart."""

    seq: int
    name: str
    version: str | None
    request: bytes | None
    stream: Stream | None = None
    is_ready: bool = True
    since: float = 0.0
    losses: int = 0
