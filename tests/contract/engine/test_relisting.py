"""M7: monthly everything is listed again, nothing downloaded; what a delta lost is found."""

from datetime import timedelta
from typing import Any

import pytest

from shared.protection import item_rules
from shared.protection.model import ObjectRun, SessionState
from tests.contract.engine.conftest import Ground
from tests.contract.engine.test_first_copy import equal
from tests.contract.engine.truth import mail_differences


@pytest.fixture
def size() -> dict[str, Any]:
    return {"users": 2, "mails": 14, "files": 10, "events": 3, "contacts": 3, "seed": 5}


def person(ground: Ground) -> Any:
    tenant = ground.cloud.server.sim.tenants[ground.cloud.tenant_id]
    return tenant.users[ground.cloud.user()["id"]]


def lose(ground: Ground) -> tuple[str, str, str]:
    """Changes that no delta tells: a mail read, a mail and a file gone; their ids."""
    user = person(ground)
    box, drive = user.mailbox, user.drive
    read, gone = sorted(box.messages.values(), key=lambda one: one.number)[:2]
    read.is_read = not read.is_read
    del box.messages[gone.number]
    kept = gone.folder.messages
    for key in [key for key, one in kept.items() if one is gone]:
        del kept[key]
    file = next(item for item in drive.items.values() if item.source is not None)
    del drive.items[file.id], file.parent.children[file.name.lower()]
    drive.order = [None if item is file else item for item in drive.order]
    return (
        box.message_id(read.number, read.incarnation, immutable=True),
        box.message_id(gone.number, gone.incarnation, immutable=True),
        file.id,
    )


async def mine(ground: Ground, session: Any) -> tuple[ObjectRun, ObjectRun]:
    runs, user = await ground.runs(session), ground.cloud.user()
    return runs["mailbox", user["id"]], runs["drive", user["driveId"]]


async def test_m7_what_a_delta_lost_is_found_by_the_monthly_listing(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await ground.back_up()
    assert first.state is SessionState.SUCCESS
    read, gone, file = lose(ground)

    nights = await ground.back_up()  # a night by deltas sees nothing of it
    mailbox, drive = await mine(ground, nights)
    assert mailbox.counts.metadata == mailbox.counts.gone == drive.counts.gone == 0
    assert gone in await ground.held(mailbox)

    monkeypatch.setattr(item_rules, "RELIST_AFTER", timedelta(seconds=100))
    monkeypatch.setattr(item_rules, "RELIST_SPREAD", timedelta(0))
    ground.cloud.clock.simulator.advance(110)
    session = await ground.back_up(items=5)  # over several slices
    assert session.state is SessionState.SUCCESS, session
    assert session.counts.protected == 0  # nothing is downloaded again (M11)
    assert session.volume.read == 0
    mailbox, drive = await mine(ground, session)
    held = await ground.held(mailbox)
    assert gone not in held
    assert file not in await ground.held(drive)
    assert bool(held[read].item.get("x", 0) & 1) == person(ground).mailbox.find(read).is_read
    assert (mailbox.counts.metadata, mailbox.counts.gone) == (1, 1)
    truth = await ground.cloud.truth(ground.cloud.user())
    assert await mail_differences(await ground.opened(mailbox), truth) == []
    assert mailbox.completeness is not None  # V40: Microsoft's counts are asked as well
    assert mailbox.completeness.gap == 0

    ground.cloud.clock.simulator.advance(10)
    again = await ground.back_up()  # the next night goes on by deltas
    mailbox, _ = await mine(ground, again)
    assert (await ground.opened(mailbox)).head.kind == "incremental"
    assert again.counts.protected == again.counts.metadata == 0
    await equal(ground, again)


async def test_m7_when_it_took_place_is_in_the_cursors_of_the_vault(ground: Ground) -> None:
    first = await ground.back_up()
    mailbox, drive = await mine(ground, first)
    before = [await listed(ground, mailbox), await listed(ground, drive)]
    assert None not in before
    ground.cloud.clock.simulator.advance(10)
    mailbox, drive = await mine(ground, await ground.back_up())
    assert [await listed(ground, mailbox), await listed(ground, drive)] == before


async def listed(ground: Ground, run: ObjectRun) -> str | None:
    from shared.protection.vaults import open_vault
    from shared.vault.model import ObjectRef

    vault = await open_vault(ground.deps, ground.customer, run.repository_id)
    opened = await vault.open_run(ObjectRef(run.workload, run.source_id), "look")
    top: dict[str, Any] = dict(
        opened.cursors["folders" if run.workload == "mailbox" else run.source_id]
    )
    return top.get("listed")


def test_m7_turns_are_spread_and_an_unfinished_listing_goes_first() -> None:
    from datetime import UTC, datetime

    now = datetime(2026, 3, 31, tzinfo=UTC)

    def due(kind: str, at: str | None, source_id: str = "u") -> bool:
        top = {"link": "x", "kind": kind, "asOf": ""} | ({"listed": at} if at else {})
        return item_rules.relist_due("mailbox", source_id, {"folders": top}, now)

    assert due("delta", "2026-02-01T00:00:00Z")
    assert not due("delta", "2026-03-10T00:00:00Z")
    assert not due("page", "2026-01-01T00:00:00Z")
    unknown = [due("delta", None, str(n)) for n in range(900)]
    assert 10 < sum(unknown) < 60  # about one in thirty a day
    assert not item_rules.relist_due("team", "t", {"settings": {"kind": "delta"}}, now)
    assert not item_rules.relist_due("mailbox", "u", {}, now)
