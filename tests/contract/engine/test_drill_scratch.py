"""Drills that restore: into a folder of their own, compared, and nothing of it stays (issue 5, 7).

What the tenant holds is told by the simulated Microsoft 365 itself, before and after.
"""

from pathlib import Path
from typing import Any

import pytest

from shared.audit.signing import FileSigner, is_signed
from shared.drills import process, repository, rules, service
from shared.drills import scratch as scratches
from shared.drills.model import Check, Drill, DrillState, Sampled
from shared.drills.tasks import DrillTask
from shared.keeping import holds
from shared.microsoft365.errors import ItemFailed
from shared.notifications import service as notifications
from shared.notifications.model import Contact, Topic
from shared.protection import repository as protection
from shared.vault.format.primitives import unb64u
from tests.contract.engine.conftest import Ground


@pytest.fixture
def size() -> dict[str, Any]:
    return {"users": 1, "mails": 60, "files": 10, "events": 2, "contacts": 2, "seed": 7,
            "mail_mean": 6000, "file_mean": 9000}  # fmt: skip


@pytest.fixture
async def backed(ground: Ground, tmp_path: Path) -> Ground:
    ground.deps.__dict__["signer"] = FileSigner(tmp_path / "signing")
    contact = Contact(email="ada@x.example", topics=(Topic.BACKUP_FAILED,))
    customer = ground.customer.customer_id
    await notifications.set_contacts(ground.deps, ground.scope, customer, [contact], "*")
    await ground.back_up()
    return ground


async def begin(ground: Ground) -> DrillTask:
    drill = await service.start_drill(
        ground.deps, ground.scope, ground.customer.customer_id, requested_by="test", mode="scratch"
    )
    return DrillTask(partner_id=ground.scope.partner_id, drill_id=drill.drill_id)


async def drill_all(ground: Ground, task: DrillTask) -> Drill:
    for object_id in (await process.plan_drill(ground.deps, task)).objects:
        await process.drill_object(ground.deps, task.model_copy(update={"object_id": object_id}))
    await process.seal_drill(ground.deps, task)
    return await repository.get(ground.deps.tables, ground.scope, task.drill_id)


async def sampled(ground: Ground, task: DrillTask) -> dict[str, Sampled]:
    found = await repository.list_sampled(ground.deps.tables, task.drill_id)
    return {one.workload: one for one in found}


async def held(ground: Ground) -> list[Any]:
    """Every folder, mail and file of the tenant: ids, places, hashes."""
    return [await ground.cloud.truth(user) for user in ground.cloud.world["users"]]


async def alerts(ground: Ground) -> list[tuple[str, str]]:
    found, _ = await notifications.list_notifications(
        ground.deps, ground.scope, ground.customer.customer_id, after="", limit=10
    )
    return [(one.topic, one.outcome) for one in found]


async def test_drill_mails_and_files_are_restored_compared_and_removed(
    backed: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "ITEMS_PER_OBJECT", 1000)  # every mail, the odd ones too
    before, task = await held(backed), await begin(backed)
    drill = await drill_all(backed, task)
    found = await sampled(backed, task)
    told = [(one.kind, one.error, one.differs) for of in found.values() for one in of.checks]
    assert drill.state is DrillState.PASSED, told
    mails = [one for one in found["mailbox"].checks if one.kind == "mail"]
    files = [one for one in found["drive"].checks if one.kind == "file"]
    assert {one.way for one in (*mails, *files)} == {"restored"}
    assert drill.restored == len(mails) + len(files) > 0
    assert all(one.took_ms is not None for one in (*mails, *files))
    assert drill.scratch == []
    assert await held(backed) == before  # nothing of it is left, in no bin either
    assert drill.report is not None
    report, pem = drill.report["report"], drill.report["publicKey"].encode()
    assert is_signed(pem, process.canonical(report), unb64u(drill.report["signature"]))
    assert report["mode"] == "scratch"
    assert report["checked"][-1] == "restored into a scratch folder"
    assert await alerts(backed) == []


@pytest.mark.parametrize("workload", ["mailbox", "drive"])
async def test_drill_that_dies_in_the_middle_leaves_nothing_behind(
    backed: Ground, workload: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, task = await held(backed), await begin(backed)
    plan = await process.plan_drill(backed.deps, task)
    [dying] = [
        one
        for one in plan.objects
        if (await protection.get_object(backed.deps.tables, backed.scope, one)).workload == workload
    ]

    class Killed(BaseException):
        """No handler of the activity runs on."""

    async def killed(*_: Any, **__: Any) -> bool:
        raise Killed

    with monkeypatch.context() as dead:
        dead.setattr(scratches, "clean", killed)
        at = task.model_copy(update={"object_id": dying})
        with pytest.raises(Killed):
            await process.drill_object(backed.deps, at)
    assert await held(backed) != before  # the scratch folder is there
    drill = await repository.get(backed.deps.tables, backed.scope, task.drill_id)
    assert drill.scratch == [dying]
    await process.seal_drill(backed.deps, task)
    assert await held(backed) == before
    drill = await repository.get(backed.deps.tables, backed.scope, task.drill_id)
    assert drill.scratch == []


async def test_drill_folder_that_cannot_be_removed_goes_with_the_next_day(backed: Ground) -> None:
    before, task = await held(backed), await begin(backed)
    await backed.cloud.fault("serverError", "permanentDelete$", times=-1)
    drill = await drill_all(backed, task)
    assert (drill.state, len(drill.scratch)) == (DrillState.PASSED, 2)
    partners = [backed.scope.partner_id]
    assert await service.clean_up(backed.deps, partners) == 2
    await backed.cloud.admin("DELETE", "/faults")
    assert await service.clean_up(backed.deps, partners) == 0
    assert await held(backed) == before
    drill = await repository.get(backed.deps.tables, backed.scope, task.drill_id)
    assert drill.scratch == []


async def test_drill_writes_nothing_into_what_is_held(backed: Ground) -> None:
    found = await protection.list_objects(
        backed.deps.tables, backed.scope, backed.customer.customer_id
    )
    for one in found:
        await holds.place(
            backed.deps, backed.scope, one.object_id, None, reason="a case", by="test"
        )
    task = await begin(backed)
    await backed.cloud.reset_stats()
    drill = await drill_all(backed, task)
    assert (await backed.cloud.stats())["total"] == 0
    assert (drill.state, drill.restored) == (DrillState.PASSED, 0)  # read back all the same
    assert {one.not_restored for one in (await sampled(backed, task)).values()} == {"UNDER_HOLD"}
    assert drill.items > 0


async def test_drill_without_consent_is_broken_and_alerts_once(backed: Ground) -> None:
    restorer = backed.deps.settings.restorer_client_id
    await backed.cloud.in_tenant("DELETE", f"/consent?clientId={restorer}")
    backed.deps.tokens.forget(backed.cloud.tenant_id)
    task = await begin(backed)
    drill = await drill_all(backed, task)
    await process.seal_drill(backed.deps, task)
    assert (drill.state, drill.failed, drill.restored) == (DrillState.BROKEN, 0, 0)
    assert await alerts(backed) == [(Topic.BACKUP_FAILED, "Broken")]


class Odd:
    """A tenant that gives something else back, or refuses."""

    def __init__(self, answer: str | ItemFailed) -> None:
        self._answer = answer

    async def differs(self, *_: Any) -> str:
        if isinstance(self._answer, ItemFailed):
            raise self._answer
        return self._answer

    async def remove(self) -> None:
        """Nothing is there."""


@pytest.mark.parametrize(
    ("answer", "error", "differs"),
    [("words, attachments", "RESTORED_DIFFERS", "words, attachments"),
     (ItemFailed("ErrorX", 400), "RESTORE_FAILED", "400/ErrorX (request unknown)")],
)  # fmt: skip
async def test_drill_names_what_came_back_otherwise_or_not_at_all(
    backed: Ground, answer: str | ItemFailed, error: str, differs: str
) -> None:
    found = await protection.list_objects(
        backed.deps.tables, backed.scope, backed.customer.customer_id
    )
    mailbox = next(one for one in found if one.workload == "mailbox")
    opened = await scratches_opened(backed, mailbox.object_id)
    row = next(iter([row async for row in opened.snapshot.rows() if row.kind == "mail"]))
    check = Check(item_key=opened.key(row), kind="mail")
    await scratches._restore(opened, Odd(answer), check)
    assert (check.error, check.differs) == (error, differs)


async def scratches_opened(ground: Ground, object_id: str) -> Any:
    from shared.protection import browsing

    return await browsing.open_point(ground.deps, ground.scope, object_id, 1)
