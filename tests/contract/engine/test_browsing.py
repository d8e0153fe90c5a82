"""Looking into a restore point: folders, words, pages, contents; expired points are refused."""

from typing import Any

import pytest

from shared.protection import browsing
from shared.vault.errors import SnapshotExpired
from tests.contract.engine.conftest import Ground


async def pages(opened: browsing.Opened, size: int, **wanted: Any) -> list[str]:
    """Source ids over all pages."""
    folder = wanted.pop("folder", None)
    found, after = [], ""
    while True:
        rows, last = await browsing.list_items(
            opened, browsing.ItemFilter(**wanted), folder=folder, after=after, limit=size
        )
        assert len(rows) <= size
        found += [row.source_id for row in rows]
        if last is None:
            return found
        after = last


async def test_pages_filters_and_words_find_every_item_once(ground: Ground) -> None:
    session = await ground.back_up()
    user = ground.cloud.user()
    run = (await ground.runs(session))["mailbox", user["id"]]
    opened, truth = await ground.opened(run), await ground.cloud.truth(user)
    everything = await pages(opened, 7)
    assert len(everything) == len(set(everything)) == run.items
    assert set(await pages(opened, 5, kind="mail")) == {mail["id"] for mail in truth["mails"]}
    parent = truth["mails"][0]["folderId"]
    key = browsing.item_key(opened.head.oid, parent)
    inside = {mail["id"] for mail in truth["mails"] if mail["folderId"] == parent}
    assert set(await pages(opened, 3, folder=key, kind="mail")) == inside
    row = next(row for row in (await ground.held(run)).values() if row.kind == "mail" and row.name)
    assert row.source_id in await pages(opened, 50, search=row.name.upper())
    assert await pages(opened, 50, search="no mail says this") == []


async def test_content_that_is_not_held_or_too_large_is_refused(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await ground.back_up()
    run = (await ground.runs(session))["mailbox", ground.cloud.user()["id"]]
    opened = await ground.opened(run)
    rows = (await ground.held(run)).values()
    with pytest.raises(browsing.ContentNotHeld):
        browsing.content_of(opened, next(row for row in rows if row.kind == "folder"))
    monkeypatch.setattr(browsing, "MAX_CONTENT_BYTES", 1)
    with pytest.raises(browsing.ContentTooLarge):
        browsing.content_of(opened, next(row for row in rows if row.kind == "mail"))


async def test_v57_expired_point_is_refused_at_once(ground: Ground) -> None:
    session = await ground.back_up()
    run = (await ground.runs(session))["mailbox", ground.cloud.user()["id"]]
    await ground.cloud.clock.sleep(366 * 86_400)
    with pytest.raises(SnapshotExpired):
        await ground.opened(run)
    assert await browsing.list_snapshots(ground.deps, ground.scope, run.object_id) == []
