"""What a call to Microsoft 365 is made of, and what its verdicts end in: no I/O."""

from collections.abc import Mapping

import msgspec

from shared.microsoft365.errors import (
    ContainerGone,
    GraphError,
    ItemFailed,
    ItemSkipped,
    ObjectUnavailable,
    Resync,
)
from shared.microsoft365.faults import Answer, Asked, Verdict, classify
from shared.microsoft365.fence import Lane
from shared.microsoft365.tokens import AppToken


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One question to Microsoft 365. `replay` says that sending it twice does no harm (M30)."""

    method: str = "GET"
    url: str
    lane: Lane
    ru: int = 0
    asked: Asked = Asked()
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    body: bytes | None = None
    signed: bool = True
    replay: bool = True
    streamed: bool = False
    accept: frozenset[int] = frozenset()
    """Refusals the caller wants to see as a reply instead of an error."""


class Reply(msgspec.Struct, frozen=True):
    """A good (or accepted) answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Ladder(msgspec.Struct):
    """How often one call was repeated, by class of fault."""

    transient: int = 0
    quirk: int = 0
    dead_url: int = 0
    refreshed: bool = False
    token: AppToken | None = None


class DeadUrl(Exception):
    """The pre-authorised URL no longer works."""


class Unsure(Exception):
    """A write that must not happen twice was cut off: it may have happened."""

    def __init__(self, failure: ItemFailed) -> None:
        super().__init__()
        self.failure = failure


def verdict_of(call: Call, answer: Answer) -> Verdict:
    """Where a refusal, or a broken connection (status 0), stands on the ladder."""
    return Verdict("transient") if answer.status == 0 else classify(call.asked, answer)


def broken(code: str) -> Answer:
    """A fault of the network, before or inside an answer."""
    return Answer(status=0, code=code)


def ending(verdict: Verdict, answer: Answer, failure: ItemFailed) -> GraphError:
    """The error of a verdict that nothing can be done about."""
    match verdict.kind:
        case "resync":
            return Resync(verdict.location)
        case "container_gone":
            return ContainerGone()
        case "skip":
            return ItemSkipped(verdict.cause, answer.request_id)
        case "object":
            return ObjectUnavailable(verdict.cause, answer.request_id)
        case _:
            return failure
