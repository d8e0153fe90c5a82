"""Sites through real sockets: libraries, lists, settings; quiet nights, changes, expired tokens."""

import hashlib
from typing import Any

import orjson
import pytest

from shared.microsoft365.errors import ObjectUnavailable
from shared.microsoft365.model import Change
from shared.microsoft365.sites import Site
from tests.contract.graph.conftest import Cloud, Pass, content_of, run_pass


@pytest.fixture
def size() -> dict[str, Any]:
    return {"users": 3, "mails": 0, "files": 0, "seed": 7, "sites": 2, "list_items": 9}


def a_site(cloud: Cloud) -> str:
    return str(cloud.world["sites"][0]["id"])


async def truth_of(cloud: Cloud, site: str) -> dict[str, Any]:
    found: dict[str, Any] = await cloud.in_tenant("GET", f"/sites/{site}/truth")
    return found


def open_site(cloud: Cloud, site: str) -> Site:
    return Site(cloud.transport(), site)


def live(first: Pass, second: Pass) -> dict[str, Change]:
    gone = {change.item["i"] for change in second.removed}
    return {i: c for i, c in {**first.rows, **second.rows}.items() if i not in gone}


def of_kind(rows: dict[str, Change], kind: str) -> dict[str, Change]:
    return {i: change for i, change in rows.items() if change.item["k"] == kind}


async def compare(cloud: Cloud, site: str, rows: dict[str, Change]) -> None:
    """Every file byte for byte, every list item field by field, and nothing else."""
    workload, truth = open_site(cloud, site), await truth_of(cloud, site)
    files = {
        f"library:{library['driveId']}/{file['id']}": file
        for library in truth["libraries"]
        for file in library["files"]
    }
    assert of_kind(rows, "file").keys() == files.keys()
    for row_id, file in files.items():
        content = await content_of(workload, rows[row_id])
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
    items = {
        f"list:{one['id']}/{item['id']}": item for one in truth["lists"] for item in one["items"]
    }
    assert of_kind(rows, "listitem").keys() == items.keys()
    for row_id, item in items.items():
        stored = orjson.loads(await content_of(workload, rows[row_id]))
        assert item["fields"].items() <= stored["fields"].items()
        assert rows[row_id].item["v"] == item["etag"]


async def test_full_enumeration_equals_the_site(cloud: Cloud) -> None:
    site = a_site(cloud)
    found = await run_pass(open_site(cloud, site))
    await compare(cloud, site, found.rows)
    kinds = {change.item["k"] for change in found.rows.values()}
    assert kinds == {"site", "list", "folder", "file", "listitem"}
    for change in found.rows.values():
        parent = change.item.get("p")
        assert parent is None or parent in found.rows
        assert "http" not in str({**change.item, "m": None})
    lists = of_kind(found.rows, "list")
    columns = [
        {column["name"] for column in stored["list"]["columns"]}
        for change in lists.values()
        if (stored := orjson.loads(change.fetch["json"]))
    ]
    assert sum({"Status", "Amount", "Due"} <= names for names in columns) == 2


async def test_a_quiet_night_costs_a_request_per_container_and_three(cloud: Cloud) -> None:
    site = a_site(cloud)
    first = await run_pass(open_site(cloud, site))
    await cloud.reset_stats()
    again = await run_pass(open_site(cloud, site), first.cursors)
    stats = await cloud.stats()
    assert stats["total"] == 3 + 4
    assert stats["ru"] == 1 + 2 + 2 + 4
    assert not [page for page in again.pages if page.full]
    for change in again.rows.values():
        assert change.item == first.rows[change.item["i"]].item


async def test_edits_moves_renames_and_deletes_are_followed(cloud: Cloud) -> None:
    site = a_site(cloud)
    first = await run_pass(open_site(cloud, site))
    per_site = {
        "newFiles": 2, "editFiles": 2, "moveFiles": 2, "renameFiles": 1, "deleteFiles": 2,
        "newItems": 3, "editItems": 3, "deleteItems": 2,
    }  # fmt: skip
    body = {"seed": 5, "sites": [site], "perSite": per_site}
    totals = (await cloud.in_tenant("POST", "/change", json=body))["totals"]
    assert totals["editItems"] == 6
    second = await run_pass(open_site(cloud, site), first.cursors)
    await compare(cloud, site, live(first, second))


async def test_list_and_library_that_come_and_go(cloud: Cloud) -> None:
    site = a_site(cloud)
    first = await run_pass(open_site(cloud, site))
    truth = await truth_of(cloud, site)
    gone_list, gone_library = truth["lists"][0]["id"], truth["libraries"][1]["driveId"]
    await cloud.in_tenant("DELETE", f"/sites/{site}/lists/{gone_list}")
    await cloud.in_tenant("DELETE", f"/sites/{site}/libraries/{gone_library}")
    made = await cloud.in_tenant("POST", f"/sites/{site}/lists", json={"name": "New"})
    second = await run_pass(open_site(cloud, site), first.cursors)
    assert {c.item["i"] for c in second.removed} == {
        f"settings/list:{gone_list}", f"settings/library:{gone_library}",
    }  # fmt: skip
    assert {p.container for p in second.pages if p.gone} == {
        f"list:{gone_list}", f"library:{gone_library}",
    }  # fmt: skip
    assert f"settings/list:{made['id']}" in second.rows
    assert f"list:{made['id']}" in second.cursors


async def test_expired_tokens_list_again_and_change_no_version(cloud: Cloud) -> None:
    site = a_site(cloud)
    first = await run_pass(open_site(cloud, site))
    await cloud.admin("POST", "/expireDelta")
    again = await run_pass(open_site(cloud, site), first.cursors)
    assert again.rows.keys() == first.rows.keys()
    assert {i: c.item.get("v") for i, c in again.rows.items()} == {
        i: c.item.get("v") for i, c in first.rows.items()
    }
    assert sum(page.full for page in again.pages) == 4


async def test_paging_over_a_long_list_names_every_item_once(cloud: Cloud) -> None:
    site = a_site(cloud)
    await cloud.in_tenant("POST", "/change", json={"sites": [site], "perSite": {"newItems": 1200}})
    found = await run_pass(open_site(cloud, site))
    truth = await truth_of(cloud, site)
    assert len(of_kind(found.rows, "listitem")) == sum(len(one["items"]) for one in truth["lists"])
    longest = [page for page in found.pages if page.container.startswith("list:")]
    assert len(longest) > 4


async def test_a_deleted_site_is_a_named_state(cloud: Cloud) -> None:
    site = a_site(cloud)
    await cloud.in_tenant("DELETE", f"/sites/{site}")
    with pytest.raises(ObjectUnavailable) as unavailable:
        await run_pass(open_site(cloud, site))
    assert unavailable.value.state == "site_deleted"


async def test_an_item_of_the_retry_list_is_read_by_its_id(cloud: Cloud) -> None:
    site = a_site(cloud)
    found = await run_pass(open_site(cloud, site))
    for kind in ("listitem", "file"):
        change = next(c for c in of_kind(found.rows, kind).values() if c.fetch.get("size", 1) != 0)
        bare = Change(change.item, removed=False, container=change.container, content=True)
        workload = open_site(cloud, site)
        assert await content_of(workload, bare) == await content_of(workload, change)
