"""What a session's log says: pure, from rows that are final (BKP-15, BKP-16)."""

from datetime import datetime
from typing import Literal

from shared.protection.model import Counts, ObjectRun, Record, RunState, Session, SessionState

LogStatus = Literal["Success", "Warning", "Failed"]
_LONGEST = 1000
_NAMED_ITEMS = 5
_TROUBLED = frozenset({RunState.FAILED, RunState.DISCONNECTED})
_NOT_WHOLE = frozenset({RunState.PARTIAL, RunState.STOPPED})
_WORKLOADS = {"mailbox": "Mailbox", "drive": "OneDrive", "site": "Site", "team": "Team"}


class LogLine(Record):
    """One record; `key` is its place in the log and the same for every attempt to write it."""

    key: str
    at: datetime
    status: LogStatus
    message: str
    object_id: str | None = None


def started(session: Session) -> LogLine:
    """The job began."""
    by = "by its schedule" if session.trigger == "Schedule" else "by hand"
    at = session.started_at or session.created_at
    return LogLine(key="0-start", at=at, status="Success", message=f"Session started {by}.")


def planned(session: Session, at: datetime) -> list[LogLine]:
    """What was found and what was left out."""
    return [
        LogLine(
            key="1-found",
            at=at,
            status="Success" if session.found else "Warning",
            message=f"{_many(session.found, 'object')} found to protect.",
        ),
        LogLine(
            key="2-excluded",
            at=at,
            status="Success",
            message=f"{_many(session.excluded, 'object')} excluded: not covered by the policy.",
        ),
    ]


def lost_group(group_id: str, at: datetime) -> LogLine:
    """A group that a policy names is gone from the directory."""
    return LogLine(
        key=f"1-group~{group_id}",
        at=at,
        status="Warning",
        message=f"Group {group_id} is gone from the directory: its last known members stay as "
        "they were. Take the group out of the policy, or name another one.",
    )


def ended_object(run: ObjectRun) -> LogLine:
    """How one object went; names it, and the first items that failed (BKP-30)."""
    at = run.ended_at
    if at is None:
        raise ValueError("the object has not ended")
    text = f"{_WORKLOADS[run.workload]} {run.display_name} ({run.address}): {_outcome(run)}"
    status: LogStatus = "Success"
    if run.state in _TROUBLED:
        status = "Failed"
    elif run.state in _NOT_WHOLE or _missing(run) or run.lost_count:
        status = "Warning"
    return LogLine(
        key=f"3~{int(at.timestamp() * 1000):013d}~{run.workload}~{run.object_id}",
        at=at,
        status=status,
        message=text[:_LONGEST],
        object_id=run.object_id,
    )


def ended(session: Session) -> list[LogLine]:
    """What was transferred, and how the session ended."""
    at = session.ended_at
    if at is None:
        raise ValueError("the session has not ended")
    seconds = (at - (session.started_at or at)).total_seconds()
    moved = (
        f"{_many(session.counts.protected, 'item')} and {size(session.volume.read)} transferred in "
        f"{duration(seconds)}, {_rate(session.volume.read, seconds)}; "
        f"{size(session.volume.new)} new, {size(session.volume.stored)} stored."
    )
    result = f"Session finished: {session.state.value}."
    if session.error:
        result = f"Session finished: {session.state.value}, {session.error}"
    return [
        LogLine(key="8-transferred", at=at, status="Success", message=moved),
        LogLine(key="9-finish", at=at, status=_status(session.state), message=result[:_LONGEST]),
    ]


def size(count: int) -> str:
    """Bytes for people, in decimal units: 1.2 MB."""
    value, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"


def duration(seconds: float) -> str:
    """h:mm:ss"""
    whole = max(0, round(seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def _outcome(run: ObjectRun) -> str:
    error = f", {run.error}" if run.error else ""
    if run.state in {RunState.SUCCEEDED, RunState.PARTIAL}:
        spent = 0.0
        if run.started_at and run.ended_at:
            spent = (run.ended_at - run.started_at).total_seconds()
        text = (
            f"{run.state.value}{error}. {_items(run.counts)}; {size(run.volume.read)} in "
            f"{duration(spent)}, {_rate(run.volume.read, spent)}."
        )
        return text + _healed(run) + _missing(run) + _failed(run)
    return f"{run.state.value}{error}."


def _items(counts: Counts) -> str:
    found = f"{counts.protected} stored, {counts.metadata} moved or changed, "
    found += f"{counts.unchanged} unchanged, {counts.gone} gone"
    if skipped := sum(counts.skipped.values()):
        found += f", {skipped} skipped"
    return found


def _missing(run: ObjectRun) -> str:
    """A gap that changes in flight do not explain is told, never hidden (vault.md V40)."""
    told = run.completeness
    if told is None or not told.is_alarming:
        return ""
    return f" Microsoft counts {_many(told.declared, 'item')}, {told.held} are held."


def _healed(run: ObjectRun) -> str:
    """What was damaged in the vault: read again, or lost here and gone at the source (V65)."""
    text = ""
    if run.healed:
        text += f" Healed {_many(run.healed, 'item')}: stored content was damaged."
    if run.lost_count:
        named, more = ", ".join(run.lost[:_NAMED_ITEMS]), run.lost_count - _NAMED_ITEMS
        text += f" Lost, damaged here and gone at the source: {named}"
        text += f" and {more} more." if more > 0 else "."
    return text


def _failed(run: ObjectRun) -> str:
    if not run.failed_items:
        return ""
    named = [f"{each['name']} ({each['code']})" for each in run.failed_items[:_NAMED_ITEMS]]
    more = sum(run.counts.failed.values()) - len(named)
    return f" Failed: {', '.join(named)}" + (f" and {more} more." if more > 0 else ".")


def _status(state: SessionState) -> LogStatus:
    if state is SessionState.SUCCESS:
        return "Success"
    return "Warning" if state in {SessionState.WARNING, SessionState.STOPPED} else "Failed"


def _many(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _rate(count: int, seconds: float) -> str:
    return f"{size(round(count / max(seconds, 1)))}/s"
