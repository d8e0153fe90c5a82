"""Ended sessions and restores are noted for the contacts that chose them, once (RST-07, NTF-03)."""

from typing import Any

import pytest

from shared.notifications import service
from shared.notifications.model import Contact, Topic
from shared.protection import process
from shared.protection.tasks import SessionTask
from shared.restore import process as restoring
from shared.restore.tasks import RestoreTask
from tests.contract.engine.conftest import Ground


@pytest.fixture
def size() -> dict[str, Any]:
    return {"users": 1, "mails": 0, "files": 2, "events": 0, "contacts": 0, "seed": 7}


async def test_rst_07_a_contact_of_restore_activity_is_told_when_a_restore_ends(
    ground: Ground,
) -> None:
    customer = ground.customer.customer_id
    chosen = [
        Contact(email="ada@x.example", topics=(Topic.RESTORE_ACTIVITY,)),
        Contact(email="bob@x.example", topics=(Topic.BACKUP_COMPLETE,)),
        Contact(email="cyd@x.example", topics=(Topic.BACKUP_FAILED,)),
    ]
    await service.set_contacts(ground.deps, ground.scope, customer, chosen, "*")
    session = await ground.back_up()
    runs = await ground.runs(session)
    run = next(run for (kind, _), run in runs.items() if kind == "drive")
    restore = await ground.restore(run, target_folder="Back")
    scope = ground.scope.partner_id
    await restoring.seal_restore(
        ground.deps, RestoreTask(partner_id=scope, restore_id=restore.restore_id)
    )
    await process.seal_session(
        ground.deps, SessionTask(partner_id=scope, session_id=session.session_id)
    )
    found, _ = await service.list_notifications(
        ground.deps, ground.scope, customer, after="", limit=10
    )
    told = {(one.topic, one.subject, one.outcome, one.recipients) for one in found}
    assert told == {
        (Topic.RESTORE_ACTIVITY, restore.restore_id, "Completed", ("ada@x.example",)),
        (Topic.BACKUP_COMPLETE, session.session_id, str(session.state), ("bob@x.example",)),
    }
    assert len(found) == 2
