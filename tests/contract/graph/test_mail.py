"""Mail through real sockets: completeness, increments, moves, expiry and faults."""

import hashlib
from typing import Any

import pytest

from shared.microsoft365.errors import ItemFailed, ItemSkipped, ObjectUnavailable
from tests.contract.graph.conftest import Cloud, content_of, run_pass


async def test_full_enumeration_finds_every_mail_byte_for_byte(cloud: Cloud) -> None:
    user = cloud.user()
    mailbox = cloud.mailbox(user)
    found = await run_pass(mailbox)
    truth = await cloud.truth(user)

    mails = {i: c for i, c in found.rows.items() if c.content}
    assert {i: c.item["p"] for i, c in mails.items()} == {
        m["id"]: m["folderId"] for m in truth["mails"]
    }
    folders = {i for i, c in found.rows.items() if c.item["k"] == "folder"}
    assert folders == {f["id"] for f in truth["folders"]} & folders
    for mail in truth["mails"]:
        content = await content_of(mailbox, mails[mail["id"]])
        assert hashlib.sha256(content).hexdigest() == mail["sha256"]


async def test_goal_3_an_unchanged_mailbox_costs_folders_plus_one(cloud: Cloud) -> None:
    user = cloud.user()
    first = await run_pass(cloud.mailbox(user))
    folders = sum(1 for change in first.rows.values() if change.item["k"] == "folder")
    await cloud.reset_stats()
    again = await run_pass(cloud.mailbox(user), first.cursors)
    assert not again.rows
    assert not again.removed
    assert sum((await cloud.stats())["requests"].values()) == folders + 1


async def test_goal_1_requests_per_new_mail_over_the_floor(cloud: Cloud) -> None:
    user = cloud.user()
    first = await run_pass(cloud.mailbox(user))
    floor = sum(1 for change in first.rows.values() if change.item["k"] == "folder") + 1
    change = {"seed": 1, "users": [user["upn"]], "perUser": {"newMails": 100}}
    await cloud.in_tenant("POST", "/change", json=change)
    await cloud.reset_stats()
    mailbox = cloud.mailbox(user)
    second = await run_pass(mailbox, first.cursors)
    new = [change for change in second.rows.values() if change.content]
    assert len(new) == 100
    for one in new:
        await content_of(mailbox, one)
    total = sum((await cloud.stats())["requests"].values())
    assert (total - floor) / len(new) <= 1.02


async def test_goal_2_moves_and_flags_need_no_content(cloud: Cloud) -> None:
    user = cloud.user()
    mailbox = cloud.mailbox(user)
    first = await run_pass(mailbox)
    change = {
        "seed": 2,
        "users": [user["upn"]],
        "perUser": {"moveMails": 5, "flagMails": 5, "deleteMails": 4},
    }
    await cloud.in_tenant("POST", "/change", json=change)
    second = await run_pass(mailbox, first.cursors)
    truth = {m["id"]: m["folderId"] for m in (await cloud.truth(user))["mails"]}

    held = {i: c.item for i, c in first.rows.items() if c.content}
    for source_id, one in second.rows.items():
        if one.content and source_id in held:
            old = {**held[source_id], "d": "held"}
            if not (old.get("x", 0) | one.item.get("x", 0)) & 4:
                assert not mailbox.content_changed(old, one)
            held[source_id] = one.item
    # M16: a removal counts only where the item's final parent still is the container.
    for gone in second.removed:
        item = held.get(gone.item["i"])
        if item is not None and item["p"] == gone.container:
            del held[gone.item["i"]]
    assert {i: item["p"] for i, item in held.items()} == truth


async def test_expired_delta_starts_a_full_enumeration(cloud: Cloud) -> None:
    user = cloud.user()
    first = await run_pass(cloud.mailbox(user))
    await cloud.admin("POST", "/expireDelta")
    again = await run_pass(cloud.mailbox(user), first.cursors)
    assert all(page.full for page in again.pages)
    assert again.rows.keys() == first.rows.keys()


async def test_full_mailbox_lists_folders_without_delta(cloud: Cloud) -> None:
    user = cloud.user()
    first = await run_pass(cloud.mailbox(user))
    await cloud.fault("quotaExceeded", "mailFolders/delta")
    again = await run_pass(cloud.mailbox(user))
    extra = again.rows.keys() - first.rows.keys()
    # The plain list shows hidden folders, which the delta of folders does not.
    assert first.rows.keys() <= again.rows.keys()
    assert all(again.rows[i].item.get("m", {}).get("hidden") for i in extra)
    assert again.cursors["folders"]["link"] == ""


async def test_slice_resumes_from_cursors_and_done(cloud: Cloud) -> None:
    """A slice that ends after two pages forgets nothing: the next one goes on."""
    user = cloud.user()
    whole = await run_pass(cloud.mailbox(user))
    rows: dict[str, Any] = {}
    cursors: dict[str, Any] = {}
    done: set[str] = set()
    finished = False
    while not finished:
        taken = 0
        finished = True
        async for page in cloud.mailbox(user).changes(cursors, done):
            cursors[page.container] = page.cursor
            rows |= {change.item["i"]: change for change in page.changes}
            if page.complete:
                done.add(page.container)
            taken += 1
            if taken == 2:
                finished = False
                break
    assert rows.keys() == whole.rows.keys()


async def test_throttle_storm_slows_and_loses_nothing(cloud: Cloud) -> None:
    user = cloud.user()
    await cloud.fault("throttle", "messages", times=25, match={"nth": 2})
    transport = cloud.transport()
    mailbox = type(cloud.mailbox(user))(transport, user["id"])
    found = await run_pass(mailbox)
    for change in found.rows.values():
        if change.content:
            await content_of(mailbox, change)
    stats = await cloud.stats()
    assert transport.use.throttled == 25
    assert transport.use.waited_s >= 25 * 5
    assert stats["insideFence"] == 0


@pytest.mark.parametrize("action", ["truncate", "reset"])
async def test_broken_connections_are_repaired(cloud: Cloud, action: str) -> None:
    user = cloud.user()
    mailbox = cloud.mailbox(user)
    found = await run_pass(mailbox)
    await cloud.fault(action, r"\$value", times=10, match={"nth": 2})
    for mail in (await cloud.truth(user))["mails"]:
        content = await content_of(mailbox, found.rows[mail["id"]])
        assert hashlib.sha256(content).hexdigest() == mail["sha256"]


async def test_poisoned_message_is_skipped_and_unknown_fault_fails(cloud: Cloud) -> None:
    user = cloud.user()
    mailbox = cloud.mailbox(user)
    found = await run_pass(mailbox)
    mail = next(change for change in found.rows.values() if change.content)
    await cloud.fault("corrupt", r"\$value")
    with pytest.raises(ItemSkipped) as skipped:
        await mailbox.fetch(mail)
    assert skipped.value.cause == "corrupt"
    await cloud.fault("serverError", r"\$value", times=9)
    with pytest.raises(ItemFailed) as failed:
        await mailbox.fetch(mail)
    assert failed.value.reason == "500/generalException"


async def test_user_without_mailbox_is_a_state(cloud: Cloud) -> None:
    await cloud.fault("noMailbox", "mailFolders")
    with pytest.raises(ObjectUnavailable) as refused:
        await run_pass(cloud.mailbox(cloud.user()))
    assert refused.value.state == "mailbox_not_enabled"


@pytest.mark.parametrize(
    "action", ["truncate", "reset", "notFoundEmpty", "unavailableEmpty", "gatewayTimeout"]
)
async def test_broken_pages_are_asked_for_again(cloud: Cloud, action: str) -> None:
    whole = await run_pass(cloud.mailbox(cloud.user()))
    await cloud.fault(action, "delta", times=4, match={"nth": 2})
    again = await run_pass(cloud.mailbox(cloud.user()))
    assert again.rows.keys() == whole.rows.keys()


async def test_folder_that_vanishes_mid_run_drops_its_cursor(cloud: Cloud) -> None:
    user = cloud.user()
    first = await run_pass(cloud.mailbox(user))
    rule = {"answer": {"status": 404, "code": "ErrorItemNotFound"}}
    await cloud.fault("answer", "messages/delta", **rule)
    second = await run_pass(cloud.mailbox(user), first.cursors)
    gone = [page.container for page in second.pages if page.gone]
    assert len(gone) == 1
    assert gone[0] not in second.cursors
