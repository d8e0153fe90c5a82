"""Finding through the API: search by everything, history of an item, what two points differ in."""

from datetime import timedelta

import httpx
import pytest

from shared.kit.clock import to_text
from tests.api.conftest import check_problem
from tests.api.vaulted import SECOND, back_up, back_up_again
from tests.api.world import World


@pytest.fixture
async def keys(two: World) -> dict[str, str]:
    """Partner A's first customer has two restore points; item keys by name."""
    found = await back_up(two, two.mine, two.a.scope)
    await back_up_again(two, two.mine, two.a.scope)
    return found


FILTERS: list[tuple[dict[str, str], set[str]]] = [
    ({"name": "BUDGET"}, {"Budget 2026"}),
    ({"search": "cy@mine"}, {"Budget 2026"}),
    ({"search": "holi"}, {"Holiday"}),
    ({"sender": "bo@PARTNER"}, {"Budget 2026"}),
    ({"from": to_text(SECOND)}, {"Budget 2026"}),
    ({"to": to_text(SECOND)}, {"Holiday"}),
    ({"from": to_text(SECOND - timedelta(days=2))}, {"Budget 2026", "Holiday"}),
    ({"minSize": "900"}, {"Holiday"}),
    ({"maxSize": "2", "kind": "note"}, {"a note"}),
    ({"kind": "folder"}, {"Inbox", "Elsewhere"}),
    ({"kind": "mail", "name": "m-"}, {"m-html", "m-1", "m-2"}),
    ({"kind": "mail", "sender": "nobody"}, set()),
]


@pytest.mark.parametrize(("query", "expected"), FILTERS, ids=[str(one) for one, _ in FILTERS])
async def test_rst_items_of_a_customer_and_of_an_object_are_found_by(
    two: World,
    anonymous: httpx.AsyncClient,
    keys: dict[str, str],
    query: dict[str, str],
    expected: set[str],
) -> None:
    daemon = two.caller("daemon")
    for path in (
        f"/api/v1/customers/{two.mine['customer_id']}/items",
        f"/api/v1/objects/{two.mine['object_id']}/snapshots/2/items",
    ):
        found, link = set[str](), path
        params: dict[str, str] | None = {**query, "maxpagesize": "1"}
        while link:
            page = (await anonymous.get(link, params=params, headers=daemon)).json()
            found |= {one["name"] for one in page["value"]}
            link, params = page.get("nextLink", ""), None
        assert found == expected, path
    theirs = f"/api/v1/customers/{two.theirs['customer_id']}/items"
    check_problem(await anonymous.get(theirs, params=query, headers=daemon), 404, "NOT_FOUND")


async def test_rst_history_of_an_item_tells_what_became_of_it(
    two: World, anonymous: httpx.AsyncClient, keys: dict[str, str]
) -> None:
    daemon, items = two.caller("daemon"), f"/api/v1/objects/{two.mine['object_id']}/items"
    for name, expected in {
        "m-1": [(2, ["changed"]), (1, [])],
        "m-2": [(2, ["moved"]), (1, [])],
        "m-3": [(2, ["deleted"]), (1, [])],
        "m-html": [(1, [])],
    }.items():
        answer = await anonymous.get(f"{items}/{keys[name]}/history", headers=daemon)
        told = answer.json()["value"]
        assert [(one["snapshot"], one["changes"]) for one in told] == expected, name
        assert (told[0]["item"] is None) == (expected[0][1] == ["deleted"])
    nobody = await anonymous.get(f"{items}/{'0' * 64}/history", headers=daemon)
    check_problem(nobody, 404, "ITEM_NOT_IN_SNAPSHOT")


async def test_rst_two_restore_points_are_compared_both_ways(
    two: World, anonymous: httpx.AsyncClient, keys: dict[str, str]
) -> None:
    daemon, point = two.caller("daemon"), f"/api/v1/objects/{two.mine['object_id']}/snapshots"

    async def told(n: int, since: int, **query: str) -> dict[str, list[str]]:
        params = {"since": str(since), **query}
        answer = await anonymous.get(f"{point}/{n}/changes", params=params, headers=daemon)
        assert answer.status_code == 200, answer.text
        return {
            (one["after"] or one["before"])["name"]: one["changes"]
            for one in answer.json()["value"]
        }

    assert await told(2, 1) == {
        "m-1": ["changed"], "m-2": ["moved"], "m-3": ["deleted"], "Budget 2026": ["added"],
        "Holiday": ["added"], "Elsewhere": ["added"],
    }  # fmt: skip
    assert await told(2, 1, change="moved") == {"m-2": ["moved"]}
    back = await told(1, 2)
    assert (back["m-3"], back["Holiday"]) == (["added"], ["deleted"])
    same = await anonymous.get(f"{point}/2/changes", params={"since": "2"}, headers=daemon)
    check_problem(same, 422, "SAME_RESTORE_POINT")
