"""Graph: the delta of a calendar or a contact folder, which differ only in what they show."""

from collections.abc import Callable

from local.microsoft365.delta import check_age, delta_link, next_link, open_token
from local.microsoft365.outlook_store import JSON, Place, Store, Thing
from local.microsoft365.query import pick, selected
from local.microsoft365.wire import Answer, Call, answer_json

Shown = Callable[[Thing], JSON]


def things_delta(call: Call, store: Store, place: Place, path: str, shown: Shown) -> Answer:
    """Enumerate a place, or list what changed in it since a token.

    A first enumeration shows what was there when it began; its deltaLink repeats whatever
    changed while it ran (M13, M14). A move is a removal here and an arrival there.
    """
    # [0 = enumerating or 1 = changes, position, sequence when this round began, page number]
    state = open_token(call, f"things {store.key.hex()} {place.number}", [0, 0, store.seq, 0])
    check_age(call, state, "mail")
    changes, position, began, number = (int(value) for value in state.values)
    size = call.page_size(10, 1000)
    body: JSON = {"@odata.context": f"{call.origin}/v1.0/$metadata#Collection(item)"}
    if call.action == "emptyPage":
        body["value"] = []
        next_link(call, body, path, state, [changes, position, began, number + 1])
        return answer_json(body)
    if changes:
        found, position, more = _changes(call, store, place, position, size, shown)
    else:
        found, position, more = _enumeration(call, place, position, size, shown)
        if call.sim.limits.get("switches", "repeatInDelta"):
            found = found + found[:1]
    body["value"] = found
    if more:
        next_link(call, body, path, state, [changes, position, began, number + 1])
    else:
        delta_link(call, body, path, state, [1, position if changes else began, 0, 0])
    return answer_json(body)


def _enumeration(
    call: Call, place: Place, position: int, size: int, shown: Shown
) -> tuple[list[JSON], int, bool]:
    wanted = selected(call)
    numbers = sorted(number for number in place.things if number > position)
    found = [pick(shown(place.things[number]), wanted) for number in numbers[:size]]
    if len(numbers) > size:
        return found, numbers[size - 1], True
    return found, position, False


def _changes(
    call: Call, store: Store, place: Place, since: int, size: int, shown: Shown
) -> tuple[list[JSON], int, bool]:
    wanted = selected(call)
    entries = store.since(place, since)
    found: list[JSON] = []
    for _, number, reason, incarnation in entries[:size]:
        thing = store.things.get(number)
        if not reason and thing is not None:
            found.append(pick(shown(thing), wanted))
        else:
            identity = store.thing_id(number, incarnation, immutable=call.immutable)
            found.append({"id": identity, "@removed": {"reason": reason or "deleted"}})
    if len(entries) > size:
        return found, entries[size - 1][0], True
    return found, entries[-1][0] if entries else since, False


def places_delta(call: Call, store: Store, path: str, shown: Callable[[Place], JSON]) -> Answer:
    """List all folders but the default one, or what changed among them since a token."""
    state = open_token(call, f"places {store.key.hex()}", [0, 0, store.seq])
    check_age(call, state, "mail")
    since, done, until = (int(value) for value in state.values)
    changes: list[tuple[int, Place | int]] = [
        (place.number if not since else place.changed, place)
        for place in store.places.values()
        if place is not store.default and place.changed > since
    ]
    changes += [(seq, number) for seq, number in store.gone_places if since and seq > since]
    changes.sort(key=lambda change: change[0])
    changes = [change for change in changes if change[0] > done]
    size = call.page_size(100, 1000)
    value: list[JSON] = [
        shown(thing)
        if isinstance(thing, Place)
        else {"id": store.place_id(thing), "@removed": {"reason": "deleted"}}
        for _, thing in changes[:size]
    ]
    body: JSON = {"@odata.context": f"{call.origin}/v1.0/$metadata#contactFolders", "value": value}
    if len(changes) > size:
        next_link(call, body, path, state, [since, changes[size - 1][0], until])
    else:
        delta_link(call, body, path, state, [until if not since else store.seq, 0, 0])
    return answer_json(body)
