"""Items found over objects and over time, against what Microsoft 365 really held."""

import pytest

from shared.access.model import Scope
from shared.kit.errors import NotFound
from shared.protection import browsing, finding
from shared.protection.browsing import ItemFilter
from shared.protection.finding import Place
from shared.vault.model import Row
from tests.contract.engine.conftest import Ground


async def everything(ground: Ground, wanted: ItemFilter, limit: int = 7) -> list[tuple[str, Row]]:
    """(object id, row) over all pages."""
    found: list[tuple[str, Row]] = []
    place: Place | None = {}
    while place is not None:
        some, place = await finding.search(
            ground.deps, ground.scope, ground.customer.customer_id, wanted, place, limit
        )
        found += [(opened.found.object_id, row) for opened, row in some]
    return found


async def test_search_finds_over_every_object_what_a_scan_finds(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await ground.back_up()
    held = [
        (run.object_id, row)
        for run in (await ground.runs(session)).values()
        for row in (await ground.held(run)).values()
    ]
    mails = [row for _, row in held if row.kind == "mail"]
    one = sorted(mails, key=lambda row: row.item["t"])[len(mails) // 2]
    sizes = sorted(row.size for _, row in held)
    middle = sizes[len(sizes) // 2]
    moment = browsing.datetime.fromtimestamp(one.item["t"], ground.deps.clock.now().tzinfo)
    filters = [
        (ItemFilter(), lambda row: True),
        (ItemFilter(kind="file"), lambda row: row.kind == "file"),
        (ItemFilter(name=one.name.upper()), lambda row: one.name.lower() in row.name.lower()),
        (ItemFilter(sender=one.item["w"]), lambda row: one.item["w"] in row.item.get("w", "")),
        (ItemFilter(min_size=middle), lambda row: row.size >= middle),
        (ItemFilter(max_size=middle), lambda row: row.size <= middle),
        (ItemFilter(from_at=moment), lambda row: row.item.get("t", 0) >= one.item["t"]),
        (ItemFilter(to_at=moment), lambda row: 0 <= row.item.get("t", -1) < one.item["t"]),
        (ItemFilter(name="no item is called so"), lambda row: False),
    ]
    monkeypatch.setattr(finding, "SCAN_ROWS", 11)  # pages end in the middle of objects
    for wanted, takes in filters:
        found = [(object_id, row.source_id) for object_id, row in await everything(ground, wanted)]
        expected = {(object_id, row.source_id) for object_id, row in held if takes(row)}
        assert len(found) == len(set(found)), wanted
        assert set(found) == expected, wanted
    stranger = Scope("stranger")
    customer = ground.customer.customer_id
    with pytest.raises(NotFound):
        await finding.search(ground.deps, stranger, customer, ItemFilter(), {}, 5)


async def test_point_look_up_by_key_finds_each_row_and_no_other(ground: Ground) -> None:
    session = await ground.back_up()
    for run in (await ground.runs(session)).values():
        opened = await ground.opened(run)
        held = await ground.held(run)
        keys = {opened.key(row): row.source_id for row in held.values()}
        found = await browsing.find_rows(opened, list(keys))
        assert {key: row.source_id for key, row in found.items()} == keys
        for wrong in ("0" * 64, "f" * 64, "no key"):
            with pytest.raises(browsing.ItemNotInSnapshot):
                await browsing.find_row(opened, wrong)


async def test_compare_and_history_tell_what_happened(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = ground.cloud.user()
    first = await ground.back_up()
    per_user = {
        "newMails": 3, "moveMails": 2, "flagMails": 2, "deleteMails": 2, "newFiles": 1,
        "editFiles": 2, "moveFiles": 1, "renameFiles": 1, "deleteFiles": 1,
    }  # fmt: skip
    body = {"seed": 11, "users": [user["upn"]], "perUser": per_user}
    await ground.cloud.in_tenant("POST", "/change", json=body)
    second = await ground.back_up()
    for workload, source in (("mailbox", user["id"]), ("drive", user["driveId"])):
        run = (await ground.runs(second))[workload, source]
        old_run = (await ground.runs(first))[workload, source]
        older, newer = await ground.opened(old_run), await ground.opened(run)
        before, after = await ground.held(old_run), await ground.held(run)
        found = []
        start: str | None = ""
        while start is not None:
            some, start = await finding.compare(older, newer, frozenset(), start, 2)
            found += some
        kinds = {(one.after or one.before).source_id: set(one.kinds) for one in found}
        assert {i for i, k in kinds.items() if k == {"added"}} == after.keys() - before.keys()
        assert {i for i, k in kinds.items() if k == {"deleted"}} == before.keys() - after.keys()
        both = before.keys() & after.keys()
        moved = {i for i in both if before[i].parent != after[i].parent
                 or (workload == "drive" and before[i].name != after[i].name)}  # fmt: skip
        assert {i for i, k in kinds.items() if "moved" in k} == moved
        edited = {i for i in both if before[i].digest != after[i].digest}
        assert edited <= {i for i, k in kinds.items() if "changed" in k}
        assert {i for i in both if before[i].raw != after[i].raw} >= kinds.keys() & both
        assert moved
        assert after.keys() - before.keys()
        back, _ = await finding.compare(newer, older, frozenset({"added"}), "", 1000)
        assert {one.after.source_id for one in back} == before.keys() - after.keys()
        monkeypatch.setattr(finding, "HISTORY_POINTS", 1)
        for source_id, expected in list(kinds.items())[:6]:
            key = browsing.item_key(newer.head.oid, source_id)
            versions, place = [], {}
            while place is not None:
                some, place = await finding.history(
                    ground.deps, ground.scope, run.object_id, key, place
                )
                versions += some
            assert set(versions[0].kinds) == expected
            assert versions[0].opened.head.n == newer.head.n
            assert [one.kinds for one in versions[1:]] == [[]] * (source_id in before)
        monkeypatch.undo()
        with pytest.raises(browsing.ItemNotInSnapshot):
            await finding.history(ground.deps, ground.scope, run.object_id, "0" * 64, {})
        with pytest.raises(finding.SamePoint):
            await finding.compare(newer, newer, frozenset(), "", 5)
