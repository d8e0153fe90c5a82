"""The simulator's clock: real time, or a virtual time that only moves when a test moves it."""

from datetime import UTC, datetime, timedelta


class Clock:
    """Answers the time in aware UTC; a `start` freezes it until `advance` is called."""

    def __init__(self, start: datetime | None = None) -> None:
        self._frozen = start
        self._offset = timedelta()

    def now(self) -> datetime:
        """Return the present time, aware, UTC."""
        return (self._frozen or datetime.now(UTC)) + self._offset

    def seconds(self) -> float:
        """Return the present time as seconds since 1970."""
        return self.now().timestamp()

    def restart(self, start: datetime) -> None:
        """Stand still at another moment: for a test that begins again with the same server."""
        self._frozen, self._offset = start, timedelta()

    def advance(self, seconds: float) -> None:
        """Move the clock forward, real or virtual."""
        self._offset += timedelta(seconds=seconds)


def iso(moment: datetime) -> str:
    """Write a time as Graph does: seconds precision, Z."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_iso(text: str) -> datetime:
    """Read an ISO time; a time without zone is UTC.

    Raises ValueError for anything else.
    """
    moment = datetime.fromisoformat(text.strip())
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
