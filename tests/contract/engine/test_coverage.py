"""BKP-28: what is protected, and why the rest is not, after real sessions."""

from typing import Any

from shared.protection import changes, coverage, engine, process
from shared.protection.coverage import Reason
from shared.protection.model import ProtectedObject
from tests.contract.engine.conftest import Ground


async def reasons(ground: Ground) -> dict[str, Reason | None]:
    """Object id -> reason."""
    found, after = {}, ""
    while True:
        page, last = await coverage.list_covered(
            ground.deps, ground.scope, ground.customer.customer_id,
            protected=None, after=after, limit=2,
        )  # fmt: skip
        found |= {one.found.object_id: one.reason for one in page}
        if last is None:
            return found
        after = last


async def edit(ground: Ground, **update: Any) -> None:
    await changes.change_policy(
        ground.deps.tables, ground.scope, ground.policy_id,
        lambda found: found.model_copy(update=update),
    )  # fmt: skip


async def test_bkp_28_protected_after_success_and_named_reasons_otherwise(ground: Ground) -> None:
    session = await ground.back_up()
    done = {run.object_id for run in (await ground.runs(session)).values()}
    found = await reasons(ground)
    assert {key for key, reason in found.items() if reason is None} == done
    report = await coverage.report(ground.deps, ground.scope, ground.customer.customer_id)
    assert (report.objects, report.protected) == (len(found), len(done))
    assert sum(report.reasons.values()) == len(found) - len(done)
    assert report.protected_users == report.licensed_users > 0

    one = min(done)
    await edit(ground, exclude=[one])
    assert (await reasons(ground))[one] is Reason.EXCLUDED
    await edit(ground, exclude=[], enabled=False)
    assert set((await reasons(ground)).values()) >= {Reason.POLICY_DISABLED}
    await edit(ground, enabled=True, services=["onedrive"])
    assert Reason.NO_POLICY in (await reasons(ground)).values()
    await edit(ground, services=["exchange", "onedrive"])
    await ground.cloud.clock.sleep(3 * 86_400)
    assert set((await reasons(ground)).values()) >= {Reason.OUTDATED}


async def test_bkp_28_completeness_is_counted_beside_what_microsoft_counts(ground: Ground) -> None:
    async def report() -> coverage.Coverage:
        return await coverage.report(ground.deps, ground.scope, ground.customer.customer_id)

    session = await ground.back_up()
    runs = (await ground.runs(session)).values()
    mails = [len((await ground.cloud.truth(u))["mails"]) for u in ground.cloud.world["users"]]
    found = await report()
    assert (found.complete, found.partial, found.gaps) == (len(runs), 0, 0)
    assert found.items == sum(run.items for run in runs)
    assert found.counted == sum(run.workload == "mailbox" for run in runs) > 0
    assert found.declared == found.held == sum(mails)
    await ground.back_up()  # counts nothing itself: what the full listing told still stands
    assert (await report()).declared == sum(mails)

    def cut(told: ProtectedObject) -> ProtectedObject:
        assert told.last_point is not None
        known = told.last_point.completeness
        assert known is not None
        more = known.model_copy(update={"declared": known.held + 21})
        point = told.last_point.model_copy(update={"completeness": more})
        return told.model_copy(update={"last_point": point})

    mailbox = next(run.object_id for run in runs if run.workload == "mailbox")
    await changes.change_object(ground.deps.tables, ground.scope, mailbox, cut)
    found = await report()
    assert (found.gaps, found.declared - found.held) == (1, 21)


async def test_bkp_28_failed_object_is_not_protected_until_the_next_success(
    ground: Ground,
) -> None:
    await ground.back_up()
    job = await ground.start()
    await process.plan_session(ground.deps, job)
    first, *others = await process.list_group(ground.deps, job, 0)
    await engine.fail_object(ground.deps, first, "its disk burnt")
    for task in others:
        await ground.protect(task)
    await process.seal_session(ground.deps, job)
    assert (await reasons(ground))[first.object_id] is Reason.LAST_BACKUP_FAILED
    await ground.back_up()
    assert (await reasons(ground))[first.object_id] is None
