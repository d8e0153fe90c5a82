"""Delta and page tokens of Outlook: opaque, bound to what they continue, and mortal."""

from dataclasses import dataclass
from typing import Any

from local.microsoft365.query import link
from local.microsoft365.wire import Call, Fault

JSON = dict[str, Any]


@dataclass(slots=True)
class State:
    """What a token says: where it continues, when it was made, in which epoch."""

    kind: str
    values: list[Any]
    made: float
    epoch: int
    select: str
    size: str
    first: bool


def open_token(call: Call, kind: str, start: list[Any]) -> State:
    """Read the token of a call, or the start of an enumeration; raises on a foreign token."""
    text = call.query.get("$deltatoken") or call.query.get("$skiptoken")
    sim = call.sim
    if not text:
        select, size = call.query.get("$select", ""), call.prefer("odata.maxpagesize") or ""
        now = sim.clock.seconds()
        return State(kind, start, now, sim.delta_epoch, select, size, first=True)
    opened = sim.sealer.open(text)
    if not opened or opened[0] != kind:
        raise Fault(400, "SyncStateInvalid", "The sync state is invalid.")
    _, values, made, epoch, *asked = opened
    select, size = str(asked[0]), str(asked[1])
    if select:
        call.query["$select"] = select
    if size and call.prefer("odata.maxpagesize") is None and "$top" not in call.query:
        call.query["$top"] = size
    return State(
        kind,
        list(values),  # type: ignore[call-overload]
        float(str(made)),
        int(str(epoch)),
        select,
        size,
        first=False,
    )


def check_age(call: Call, state: State, service: str) -> None:
    """Raise the service's expiry answer for a token too old, of an earlier epoch, or by fault."""
    limits = call.sim.limits.section("delta")
    if state.first:
        return
    age = call.sim.clock.seconds() - state.made
    expired = age > limits[f"{service}Lifetime"] or state.epoch != call.sim.delta_epoch
    if expired or call.action == "expireDelta":
        text = "The sync state generation is not found; start a new enumeration."
        raise Fault(int(limits["mailExpiredStatus"]), str(limits["mailExpiredCode"]), text)


def _seal(call: Call, state: State, values: list[Any]) -> str:
    made = call.sim.clock.seconds()
    return call.sim.sealer.seal(
        [state.kind, values, made, call.sim.delta_epoch, state.select, state.size]
    )


def next_link(call: Call, body: JSON, path: str, state: State, values: list[Any]) -> None:
    """Put a nextLink into a page."""
    body["@odata.nextLink"] = link(call, path, _skiptoken=_seal(call, state, values))


def delta_link(call: Call, body: JSON, path: str, state: State, values: list[Any]) -> None:
    """Put a deltaLink into the last page."""
    body["@odata.deltaLink"] = link(call, path, _deltatoken=_seal(call, state, values))
