"""Changing a world while it is read: the work of a day, deterministic from a seed."""

import random
from typing import Any

from local.microsoft365 import changes_sites
from local.microsoft365.changes_personal import CONTACT_VERBS, EVENT_VERBS, personal
from local.microsoft365.drive import Drive, Item
from local.microsoft365.ids import digest
from local.microsoft365.mailbox import Mailbox, Message
from local.microsoft365.simulator import Simulator
from local.microsoft365.sources import GeneratedFile, seed_of
from local.microsoft365.tenant import Tenant, User
from local.microsoft365.world import place_file
from local.microsoft365.world_mail import GeneratedMail
from local.microsoft365.world_names import FILE_NAMES, FOLDER_NAMES

JSON = dict[str, Any]
MAIL_VERBS = ("newMails", "moveMails", "flagMails", "deleteMails")
FILE_VERBS = ("newFiles", "editFiles", "moveFiles", "renameFiles", "deleteFiles")


def change(sim: Simulator, tenant: Tenant, body: JSON) -> JSON:
    """Apply `perUser` counts of changes to the chosen (default: all licensed) users.

    No mail or file is changed twice by one call, so totals can be compared with a backup's
    counts; fewer things than asked for means fewer changes. Raises KeyError for unknown verbs
    and users.
    """
    counts = {str(k): int(v) for k, v in (body.get("perUser") or {}).items()}
    unknown = set(counts) - {*MAIL_VERBS, *FILE_VERBS, *EVENT_VERBS, *CONTACT_VERBS}
    if unknown:
        raise KeyError(f"unknown changes {sorted(unknown)}")
    names = body.get("users")
    users = list(tenant.users.values())
    if names is not None:
        found = [(name, tenant.find_user(str(name))) for name in names]
        missing = [name for name, user in found if user is None]
        if missing:
            raise KeyError(f"no users {missing}")
        users = [user for _, user in found if user is not None]
    changes: list[JSON] = []
    for user in users:
        chance = random.Random(seed_of(body.get("seed", 0), user.id, "change"))
        if user.mailbox is not None:
            changes += _mails(sim, user, user.mailbox, counts, chance)
        changes += personal(sim, user, counts, chance)
        if user.drive is not None:
            changes += change_files(sim, user, user.drive, counts, chance)
    changes += changes_sites.change(sim, tenant, body)
    totals = dict.fromkeys((*MAIL_VERBS, *FILE_VERBS), 0)
    for entry in changes:
        totals[entry["kind"]] = totals.get(entry["kind"], 0) + 1
    return {"changes": changes, "totals": totals}


def _take[T](things: list[T], count: int) -> list[T]:
    taken, things[:] = things[:count], things[count:]
    return taken


def _mails(
    sim: Simulator, user: User, box: Mailbox, counts: dict[str, int], chance: random.Random
) -> list[JSON]:
    now = sim.clock.now()
    pool = [m for m in box.messages.values() if not m.folder.hidden]
    chance.shuffle(pool)
    made: list[JSON] = []

    def note(kind: str, message: Message, **more: Any) -> None:
        made.append(
            {
                "user": user.upn,
                "kind": kind,
                "id": box.message_id(message.number, message.incarnation, immutable=True),
                "subject": message.source.meta().subject,
                **more,
            }
        )

    for number in range(counts.get("newMails", 0)):
        seed = seed_of(chance.getrandbits(60), number, digest(box.key.hex(), box.seq).hex())
        when = now.replace(microsecond=0)
        peer = ("Grace Hopper", "grace@partner.example")
        source = GeneratedMail(seed, (user.display_name, user.upn), peer, when, 75_000)
        message = box.add(box.well_known("inbox"), source, when, now)
        message.is_read = False
        note("newMails", message)
    folders = [f for f in box.folders.values() if not f.hidden and f.parent]
    for message in _take(pool, counts.get("moveMails", 0)):
        target = chance.choice([f for f in folders if f is not message.folder])
        before = box.folder_id(message.folder.number)
        box.move(message, target, now)
        note("moveMails", message, fromFolder=before, toFolder=box.folder_id(target.number))
    for message in _take(pool, counts.get("flagMails", 0)):
        message.flag = "notFlagged" if message.flag == "flagged" else "flagged"
        box.touch(message, now)
        note("flagMails", message, flag=message.flag)
    for message in _take(pool, counts.get("deleteMails", 0)):
        note("deleteMails", message)
        box.purge(message)
    return made


def change_files(
    sim: Simulator, user: User, drive: Drive, counts: dict[str, int], chance: random.Random
) -> list[JSON]:
    """Apply the file verbs of `counts` to one drive."""
    now = sim.clock.now()
    pool = [item for item in drive.items.values() if not item.is_folder]
    chance.shuffle(pool)
    made: list[JSON] = []

    def note(kind: str, item: Item, **more: Any) -> None:
        made.append({"user": user.upn, "kind": kind, "id": item.id, "path": item.path(), **more})

    for _ in range(counts.get("newFiles", 0)):
        name = f"{chance.getrandbits(32):08x} {chance.choice(FILE_NAMES)}"
        source = GeneratedFile(chance.getrandbits(60), int(chance.expovariate(1 / 60_000)) + 1)
        item = place_file(drive, f"{chance.choice(FOLDER_NAMES)}/{name}".strip("/"), source, now)
        note("newFiles", item)
    for item in _take(pool, counts.get("editFiles", 0)):
        size = max(1, item.size + chance.randint(1, 2000))
        drive.write(item, GeneratedFile(chance.getrandbits(60), size), now)
        note("editFiles", item)
    folders = [item for item in drive.items.values() if item.is_folder]
    for item in _take(pool, counts.get("moveFiles", 0)):
        others = [f for f in folders if f is not item.parent]
        if not others:
            break
        target, before = chance.choice(others), item.path()
        drive.move(item, target, drive.free_name(target, item.name), now)
        note("moveFiles", item, before=before)
    for item in _take(pool, counts.get("renameFiles", 0)):
        before = item.path()
        if item.parent is not None:
            drive.move(item, item.parent, drive.free_name(item.parent, f"new {item.name}"), now)
        note("renameFiles", item, before=before)
    for item in _take(pool, counts.get("deleteFiles", 0)):
        note("deleteFiles", item)
        drive.delete(item, now)
    return made
