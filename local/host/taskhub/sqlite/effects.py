"""What a transaction wants to have happen in memory once it is committed."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wake:
    """An instance has something to do. `at_once`: nothing else is awaited, gathering is in vain."""

    key: int
    id: str
    name: str
    version: str | None
    at_once: bool
    losses: int = 0


@dataclass(frozen=True, slots=True)
class TurnOver:
    """The turn under way is committed, or its answer no longer counts."""

    key: int


@dataclass(frozen=True, slots=True)
class Changed:
    """Somebody may be waiting for this instance's status."""

    id: str


@dataclass(frozen=True, slots=True)
class Gone:
    """The instance ended or was removed: nothing of it is handed out any more."""

    key: int


@dataclass(frozen=True, slots=True)
class Scheduled:
    """An activity is to be run. `request` is its serialised form, or None when left in the file."""

    seq: int
    name: str
    version: str | None
    request: bytes | None
    losses: int = 0


@dataclass(frozen=True, slots=True)
class ActivityOver:
    """An activity's result was taken."""

    seq: int


@dataclass(frozen=True, slots=True)
class Alarm:
    """A message becomes due, in microseconds since 1970."""

    due: int
    key: int


@dataclass(frozen=True, slots=True)
class EntityWake:
    """An entity has operations that may run now."""

    key: int
    id: str
    losses: int = 0


@dataclass(frozen=True, slots=True)
class BatchOver:
    """An entity's batch of operations is committed, or its answer no longer counts."""

    key: int


@dataclass(frozen=True, slots=True)
class EntityAlarm:
    """A signal becomes due, in microseconds since 1970."""

    due: int
    key: int


EntityEffect = EntityWake | BatchOver | EntityAlarm
Effect = Wake | TurnOver | Changed | Gone | Scheduled | ActivityOver | Alarm | EntityEffect
