"""Sites and teams: what two restore points differ in is what people did; search finds in both."""

from typing import Any

import pytest

from shared.protection import browsing, finding
from shared.protection.browsing import ItemFilter
from tests.contract.engine.conftest import Ground
from tests.contract.engine.test_finding import everything
from tests.contract.engine.test_sites_teams import shared, size, the_run

__all__ = ["shared", "size"]

SITE = {"newFiles": 1, "editFiles": 1, "moveFiles": 1, "deleteFiles": 1,
        "newItems": 1, "editItems": 1, "deleteItems": 1}  # fmt: skip
TEAM = {"newMessages": 1, "newReplies": 1, "editMessages": 1, "deleteMessages": 1}


@pytest.mark.parametrize("kind", ["site", "team"])
async def test_rst_compare_search_and_history_of_sites_and_teams(shared: Ground, kind: str) -> None:
    source = shared.cloud.world[f"{kind}s"][0]["id"]
    first = await the_run(shared, await shared.back_up(), kind, source)
    body: dict[str, Any] = {"seed": 3, f"{kind}s": [source]}
    body |= {"perSite": SITE} if kind == "site" else {"perTeam": TEAM}
    done = (await shared.cloud.in_tenant("POST", "/change", json=body))["totals"]
    assert all(done[verb] for verb in (SITE if kind == "site" else TEAM))
    second = await the_run(shared, await shared.back_up(), kind, source)
    older, newer = await shared.opened(first), await shared.opened(second)
    before, after = await shared.held(first), await shared.held(second)
    found, start = [], ""
    while start is not None:
        some, start = await finding.compare(older, newer, frozenset(), start, 2)
        found += some
    told = {(one.after or one.before).source_id: set(one.kinds) for one in found}
    assert {i for i, k in told.items() if k == {"added"}} == after.keys() - before.keys()
    assert {i for i, k in told.items() if k == {"deleted"}} == before.keys() - after.keys()
    both = before.keys() & after.keys()
    edited = {i for i in both if before[i].digest != after[i].digest}
    assert edited
    assert edited <= {i for i, k in told.items() if "changed" in k}
    moved = {i for i in both if before[i].parent != after[i].parent}
    assert moved <= {i for i, k in told.items() if "moved" in k}
    if kind == "site":
        assert moved
    assert {i for i, k in told.items() if "added" not in k and "deleted" not in k} <= both
    # One of each kind of change: its history ends with it, and a search finds what is still there.
    for kinds in ({"added"}, {"changed"}, {"deleted"}):
        source_id = next(i for i, k in told.items() if k == kinds)
        key = browsing.item_key(newer.head.oid, source_id)
        versions, _ = await finding.history(shared.deps, shared.scope, second.object_id, key, {})
        assert set(versions[0].kinds) == kinds
        row = after.get(source_id) or before[source_id]
        hits = await everything(shared, ItemFilter(name=row.name, kind=row.kind), 50)
        mine = {one.source_id for object_id, one in hits if object_id == second.object_id}
        assert (source_id in mine) == (source_id in after)
