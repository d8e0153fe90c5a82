"""The fidelity matrix says what is so, for sites and teams: see test_fidelity.py.

Everything is compared over all items of a kind at once: what the tenant showed of them before with
what it shows of the restored ones.
"""

from collections.abc import Callable
from typing import Any

import orjson

from shared.restore.fidelity import fidelity
from shared.restore.model import RestoreState
from tests.contract.engine.conftest import Ground
from tests.contract.engine.test_fidelity import compared, read, said, told
from tests.contract.engine.test_sites_teams import shared, site_truth, size, team_truth, the_run

__all__ = ["shared", "size"]

Json = dict[str, Any]
Same = Callable[[Json, Json], bool]
WRITABLE = ("Title", "Status", "Amount", "Due", "Notes", "Urgent")
CALCULATED = "Double"


def equal(name: str) -> Same:
    """The same is shown, and something is."""

    def same(before: Json, after: Json) -> bool:
        assert before[name], name
        return bool(before[name] == after[name])

    return same


def checks(*names: str) -> dict[str, Same]:
    return {name: equal(name) for name in names}


SITE: dict[str, dict[str, Same]] = {
    "file": checks("content", "name", "folder"),
    "folder": checks("name", "tree"),
    "list": checks("name", "columns", "otherColumns"),
    "listitem": checks("fields", "otherFields", "author", "createdAt"),
    "site": checks("settings"),
}
TEAM: dict[str, dict[str, Same]] = {
    "message": checks("author", "createdAt", "body", "subject", "images", "reactions"),
    "reply": checks("author", "createdAt", "body", "thread"),
    "channel": checks("messages", "membership"),
    "team": checks("settings"),
}


def test_every_property_that_a_test_is_said_to_prove_is_compared() -> None:
    for workload, kinds in (("site", SITE), ("team", TEAM)):
        proved = {
            kind.kind: {one.name for one in kind.properties if one.proof == "test"}
            for kind in fidelity().kinds
            if kind.workload == workload
        }
        assert {kind: set(of) for kind, of in kinds.items()} == {
            kind: names for kind, names in proved.items() if names
        }


async def site_seen(ground: Ground, site: str, top: str, suffix: str) -> dict[str, Json]:
    """What is there of libraries below `top` and of lists whose names end with `suffix`."""
    truth = await site_truth(ground, site)
    paths: dict[str, str] = {}
    for library in truth["libraries"]:
        for file in library["files"]:
            whole = f"{library['name']}/{file['path'].strip('/')}"
            if whole.startswith(top):
                paths[whole.removeprefix(top)] = file["sha256"]
    folders = {path.rpartition("/")[0] for path in paths} - {""}
    lists: list[tuple[str, Json, list[Json]]] = []
    for one in truth["lists"]:
        if not one["name"].endswith(suffix) or (not suffix and one["name"].endswith(" (Back)")):
            continue
        link = f"/sites/{site}/lists/{one['id']}"
        items = orjson.loads(await read(ground, f"{link}/items?$expand=fields"))["value"]
        lists.append((one["name"].removesuffix(suffix), one, items))
    lists.sort(key=lambda one: one[0])
    rows = [item for *_, items in lists for item in items]
    shown = orjson.loads(await read(ground, f"/sites/{site}"))
    return {
        "file": {
            "content": sorted(paths.values()),
            "name": sorted(path.rpartition("/")[2] for path in paths),
            "folder": paths,
        },
        "folder": {"name": {path.rpartition("/")[2] for path in folders}, "tree": folders},
        "list": {
            "name": [name for name, *_ in lists],
            "columns": [
                [name for name in WRITABLE[1:] if name in one["columns"]] for _, one, _ in lists
            ],
            "otherColumns": [name for name, one, _ in lists if CALCULATED in one["columns"]],
        },
        "listitem": {
            "fields": sorted(str([i["fields"].get(name) for name in WRITABLE]) for i in rows),
            "otherFields": [
                (i["fields"]["Title"], True) for i in rows if i["fields"].get(CALCULATED)
            ] or [(name, True) for name, one, _ in lists if CALCULATED in one["columns"]],
            "author": sorted(str(i.get("createdBy")) for i in rows),
            "createdAt": sorted(i["createdDateTime"] for i in rows),
        },
        "site": {"settings": shown["description"]},
    }  # fmt: skip


async def test_a_site_comes_back_property_by_property_as_the_matrix_says(shared: Ground) -> None:
    site = shared.cloud.world["sites"][0]["id"]
    held = shared.cloud.server.sim.tenants[shared.cloud.tenant_id].sites[site]
    held.description = "as protected"
    before = await site_seen(shared, site, "", "")
    run = await the_run(shared, await shared.back_up(), "site", site)
    held.description = "changed since"
    shared.cloud.clock.simulator.advance(60)
    restore = await shared.restore(run, target_folder="Back")
    assert restore.state is RestoreState.COMPLETED
    after = await site_seen(shared, site, "Documents/Back/", " (Back)")
    for kind, of in SITE.items():
        verdicts = told("site", kind)
        assert compared(of, before[kind], after[kind]) == said(verdicts), kind


async def team_seen(ground: Ground, team: str, suffix: str) -> dict[str, Json]:
    """What is there of the channels whose names end so, or of those that were there before."""
    truth = await team_truth(ground, team)
    mine = [
        one for one in truth["channels"] if one["name"].endswith(" Back") == bool(suffix)
    ]  # fmt: skip
    said_ = [message for channel in mine for message in channel["messages"]]
    roots = {one["id"]: one["content"] for one in said_ if not one["rootId"]}
    threads = [one for one in said_ if not one["rootId"]]
    replies = [one for one in said_ if one["rootId"]]

    def every(some: list[Json], name: str) -> list[str]:
        return sorted(str((one["content"], one[name])) for one in some)

    held = ground.cloud.server.sim.tenants[ground.cloud.tenant_id].teams[team]
    return {
        "message": {
            "author": every(threads, "authorId"),
            "createdAt": every(threads, "createdDateTime"),
            "body": sorted(one["content"] for one in threads),
            "subject": sorted(one["subject"] for one in threads if one["subject"]),
            "images": sorted(image for one in threads for image in one["hosted"]),
            "reactions": sorted(one["reactions"] for one in said_ if one["reactions"]),
        },
        "reply": {
            "author": every(replies, "authorId"),
            "createdAt": every(replies, "createdDateTime"),
            "body": sorted(one["content"] for one in replies),
            "thread": sorted((roots[one["rootId"]], one["content"]) for one in replies),
        },
        "channel": {
            "messages": {
                one["name"].removesuffix(suffix): sorted(m["content"] for m in one["messages"])
                for one in mine
            },
            "membership": {one["name"].removesuffix(suffix): one["membership"] for one in mine},
        },
        "team": {"settings": held.description},
    }


async def test_a_team_comes_back_property_by_property_as_the_matrix_says(shared: Ground) -> None:
    team = shared.cloud.world["teams"][0]["id"]
    held = shared.cloud.server.sim.tenants[shared.cloud.tenant_id].teams[team]
    held.description = "as protected"
    channel = next(iter(held.channels.values()))
    first = next(iter(channel.messages.values()))
    first.subject = "A subject"
    first.reactions.append({"reactionType": "like", "createdDateTime": "2026-01-01T00:00:00Z",
                            "user": {"user": {"id": first.author.id}}})  # fmt: skip
    before = await team_seen(shared, team, "")
    run = await the_run(shared, await shared.back_up(), "team", team)
    held.description = "changed since"
    shared.cloud.clock.simulator.advance(60)
    restore = await shared.restore(run, target_folder="Back")
    assert restore.state is RestoreState.COMPLETED
    after = await team_seen(shared, team, " Back")
    for kind, of in TEAM.items():
        verdicts = told("team", kind)
        assert compared(of, before[kind], after[kind]) == said(verdicts), kind
