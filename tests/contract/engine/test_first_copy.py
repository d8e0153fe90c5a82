"""A first copy and increments equal the tenant; nothing is read twice."""

from typing import Any

import pytest

from shared.protection.model import SessionState
from tests.contract.engine.conftest import Ground
from tests.contract.engine.truth import file_differences, mail_differences


async def equal(ground: Ground, session: Any) -> None:
    runs = await ground.runs(session)
    compared = 0
    for user in ground.cloud.world["users"]:
        if not user["licensed"]:
            continue
        truth = await ground.cloud.truth(user)
        mailbox, drive = runs["mailbox", user["id"]], runs["drive", user["driveId"]]
        assert await mail_differences(await ground.opened(mailbox), truth) == []
        assert await file_differences(await ground.opened(drive), truth) == []
        compared += 1
    assert compared


async def counted(ground: Ground, session: Any) -> None:
    """V40: what the folders themselves say there is stands beside what is held."""
    compared = 0
    for run in (await ground.runs(session)).values():
        if run.workload != "mailbox":
            continue
        head, told = (await ground.opened(run)).head, run.completeness
        user = next(u for u in ground.cloud.world["users"] if u["id"] == run.source_id)
        mails = len((await ground.cloud.truth(user))["mails"])
        assert told is not None
        assert (told.declared, told.held, told.gap) == (mails, mails, 0)
        assert head.counts["source"]["declared"] == mails
        assert head.counts["source"]["how"] == "totalItemCount"
        compared += 1
    assert compared


async def test_first_copy_equals_the_tenant_and_counts_add_up(ground: Ground) -> None:
    session = await ground.back_up()
    assert session.state is SessionState.SUCCESS, session
    assert session.objects == {"Succeeded": session.found}
    await equal(ground, session)
    for run in (await ground.runs(session)).values():
        head = (await ground.opened(run)).head
        counts = head.counts
        listed = counts["protected"] + counts["metadata"] + counts["unchanged"]
        assert counts["listed"] == listed + sum(counts["skipped"].values())  # V36
        assert head.items == counts["held"] + counts["stale"] + counts["unheld"]  # V37
        assert head.status == "complete"
        if run.workload != "mailbox":
            assert (counts["source"], run.completeness) == (None, None)
    await counted(ground, session)
    policy = await ground.deps.tables["Policies"].get(ground.scope.partner_id, ground.policy_id)
    assert policy.values["last_status"] == "Success"
    assert "running_session_id" not in policy.values


async def test_increment_after_moves_flags_edits_and_deletes_equals_the_tenant(
    ground: Ground,
) -> None:
    await ground.back_up()
    per_user = {
        "newMails": 3, "moveMails": 4, "flagMails": 5, "deleteMails": 2, "newFiles": 2,
        "editFiles": 2, "moveFiles": 2, "renameFiles": 2, "deleteFiles": 2,
    }  # fmt: skip
    body = {"seed": 11, "perUser": per_user}
    await ground.cloud.in_tenant("POST", "/change", json=body)
    await ground.cloud.reset_stats()
    session = await ground.back_up()
    assert session.state is SessionState.SUCCESS, session
    await equal(ground, session)
    runs = await ground.runs(session)
    for (workload, _), run in runs.items():
        head = (await ground.opened(run)).head
        assert head.kind == "incremental"
        # A delta names only the folders that changed: their counts are no whole.
        assert (head.counts["source"], run.completeness) == (None, None)
        if workload == "mailbox":
            assert run.counts.protected <= 3 + 1  # an audited metadata change may be read
            assert run.counts.metadata >= 1


async def test_unchanged_object_costs_one_request_per_folder(ground: Ground) -> None:
    first = await ground.back_up()
    session = await ground.back_up()
    assert session.state is SessionState.SUCCESS
    assert session.counts.protected == session.counts.metadata == 0
    before, after = await ground.runs(first), await ground.runs(session)
    for key, run in after.items():
        kinds = [row.kind for row in (await ground.held(run)).values()]
        folders = sum(kind in {"folder", "calendar", "contactfolder"} for kind in kinds)
        # Beside them the three lists: mail folders, calendars, contact folders.
        allowed = folders + 3 if key[0] == "mailbox" else 1
        assert run.graph.requests <= allowed
        assert run.root == before[key].root


@pytest.mark.parametrize("items", [7, 1])
async def test_tiny_slices_give_the_same_roots_as_one_slice(ground: Ground, items: int) -> None:
    session = await ground.back_up(items=items)
    assert session.state is SessionState.SUCCESS, session
    await equal(ground, session)
    await counted(ground, session)
    assert max(run.slices for run in (await ground.runs(session)).values()) > 3
    again = await ground.back_up()
    assert again.counts.protected == 0
