"""The fidelity matrix says what is so, for calendars and contacts: see test_fidelity.py."""

from typing import Any

import orjson

from shared.restore.fidelity import fidelity
from shared.restore.model import RestoreState
from tests.contract.engine.conftest import Ground
from tests.contract.engine.test_exchange import people, protected, size, times
from tests.contract.engine.test_fidelity import compared, read, said, told
from tests.contract.engine.test_fidelity_shared import checks

__all__ = ["size"]

Json = dict[str, Any]
CHECKS = {
    "event": checks(
        "subject", "times", "recurrence", "changedDays", "cancelledDays", "attachments",
        "calendar", "attendees", "organizer",
    ),
    "calendar": checks("name"),
    "contact": checks("members", "photo", "folder"),
    "contactfolder": checks("name", "tree"),
}  # fmt: skip
TOP = "Back"


def test_every_property_that_a_test_is_said_to_prove_is_compared() -> None:
    for kind, of in CHECKS.items():
        found = fidelity().find("mailbox", kind)
        assert found is not None
        assert {one.name for one in found.properties if one.proof == "test"} == of.keys()


async def seen(ground: Ground, user: Json, *, restored: bool) -> dict[str, Json]:
    """What is there of calendars and contacts, of the restored ones or of the others."""
    truth = await ground.cloud.truth(user)
    prefix = f"{TOP} - "
    calendars = {
        one["id"]: one["name"]
        for one in truth["calendars"]
        if one["name"].startswith(prefix) == restored
    }
    events = [one for one in truth["events"] if one["calendarId"] in calendars]
    organizers: list[str] = []
    for calendar in calendars:
        link = f"/users/{user['id']}/calendars/{calendar}/events?$top=100"
        found = orjson.loads(await read(ground, link))["value"]
        organizers += [f"{one['subject']} {one['organizer']['emailAddress']}" for one in found]
    by_id = {one["id"]: one for one in truth["contactFolders"]}
    paths: dict[str, str] = {}
    for one in truth["contactFolders"]:
        names, at = [one["name"]], by_id.get(one["parentId"] or "")
        while at is not None:
            names.insert(0, at["name"])
            at = by_id.get(at["parentId"] or "")
        path = "/".join(names)
        mark = path.find(f"{TOP}/")
        if (mark >= 0) == restored:
            paths[one["id"]] = path[mark + len(TOP) + 1 :] if restored else path
    paths = {key: path for key, path in paths.items() if path.rpartition("/")[2] != TOP}
    contacts = [one for one in truth["contacts"] if one["folderId"] in paths]
    return {
        "event": {
            "subject": sorted(one["subject"] for one in events),
            "times": times(truth, set(calendars.values())),
            "recurrence": sorted(one["subject"] for one in events if one["isSeries"]),
            "changedDays": sorted(one["exceptions"] for one in events),
            "cancelledDays": sorted(one["cancelled"] for one in events),
            "attachments": sorted(file for one in events for file in one["attachments"]),
            "calendar": sorted(
                f"{one['calendar'].removeprefix(prefix)}: {one['subject']}" for one in events
            ),
            "attendees": [one["attendees"] for one in events if one["attendees"]],
            "organizer": sorted(organizers),
        },
        "calendar": {"name": sorted(name.removeprefix(prefix) for name in calendars.values())},
        "contact": {
            "members": people(truth, set(paths)),
            "photo": sorted(one["photo"] for one in contacts if one["photo"]),
            "folder": sorted(f"{paths[one['folderId']]}: {one['displayName']}" for one in contacts),
        },
        "contactfolder": {
            "name": sorted(path.rpartition("/")[2] for path in paths.values()),
            "tree": sorted(paths.values()),
        },
    }


async def test_calendars_and_contacts_come_back_as_the_matrix_says(ground: Ground) -> None:
    tenant = ground.cloud.server.sim.tenants[ground.cloud.tenant_id]
    person = tenant.find_user(ground.cloud.user()["id"])
    invited = next(one for one in person.calendars.things.values() if one.body.get("attendees"))
    other = {"name": "Grace", "address": "grace@partner.example"}
    invited.body["_organizer"] = {"emailAddress": other}
    run, user = await protected(ground)
    before = await seen(ground, user, restored=False)
    restore = await ground.restore(run, target_folder=TOP)
    assert restore.state is RestoreState.COMPLETED
    after = await seen(ground, user, restored=True)
    for kind, of in CHECKS.items():
        verdicts = told("mailbox", kind)
        assert compared(of, before[kind], after[kind]) == said(verdicts), kind
