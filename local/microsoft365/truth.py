"""What really is in the world: the ground truth that backups are compared with."""

import asyncio
import hashlib
from typing import Any

from local.microsoft365.clock import iso
from local.microsoft365.mail_json import sent_of
from local.microsoft365.simulator import Simulator
from local.microsoft365.sources import sha256_of
from local.microsoft365.tenant import User
from local.microsoft365.truth_personal import personal_truth
from local.microsoft365.truth_sites import summary

JSON = dict[str, Any]
PAUSE_EVERY = 25


def world(sim: Simulator) -> JSON:
    """Return what /_sim/world shows."""
    return {
        "tenants": [
            {
                "tenantId": tenant.id,
                "domain": tenant.domain,
                "displayName": tenant.display_name,
                "admin": {"id": tenant.admin.id, "upn": tenant.admin.upn},
                "users": [user_summary(user) for user in tenant.users.values()],
                **summary(tenant),
            }
            for tenant in sim.tenants.values()
        ]
    }


def user_summary(user: User) -> JSON:
    """Return one user with the size of what he has."""
    files = sum(not i.is_folder for i in user.drive.items.values()) if user.drive else 0
    return {
        "id": user.id,
        "upn": user.upn,
        "displayName": user.display_name,
        "licensed": user.licensed,
        "driveId": user.drive.id if user.drive else None,
        "counts": {
            "mails": len(user.mailbox.messages) if user.mailbox else 0,
            "files": files,
            "events": len(user.calendars.things) if user.calendars else 0,
            "contacts": len(user.contacts.things) if user.contacts else 0,
        },
    }


async def truth(user: User, *, mails: bool = True, files: bool = True) -> JSON:
    """Return every folder, mail and file of a user with the hash of its bytes.

    Ids of mails are immutable ids. Bodies are generated for it, so the cost is that of
    reading everything once; the event loop gets a turn in between.
    """
    body: JSON = {"userId": user.id, "folders": [], "mails": [], "files": [], "driveFolders": []}
    box, drive = user.mailbox, user.drive
    if mails:
        body |= personal_truth(user)
    if box is not None and mails:
        body["folders"] = [
            {
                "id": box.folder_id(folder.number),
                "name": folder.name,
                "parentId": box.folder_id(folder.parent) if folder.parent else None,
                "wellKnown": folder.well_known or None,
                "hidden": folder.hidden,
            }
            for folder in box.folders.values()
        ]
        for number, message in enumerate(list(box.messages.values())):
            if number % PAUSE_EVERY == 0:
                await asyncio.sleep(0)
            mime = message.source.mime()
            meta = message.source.meta()
            body["mails"].append(
                {
                    "id": box.message_id(message.number, message.incarnation, immutable=True),
                    "folderId": box.folder_id(message.folder.number),
                    "folder": message.folder.name,
                    "sha256": hashlib.sha256(mime).hexdigest(),
                    "size": len(mime),
                    "subject": meta.subject,
                    "internetMessageId": meta.internet_message_id or None,
                    "receivedDateTime": iso(message.received),
                    "sentDateTime": iso(sent_of(message, meta)),
                    "isRead": message.is_read,
                    "isDraft": message.is_draft,
                    "flag": message.flag,
                    "categories": list(message.categories),
                }
            )
    if drive is not None and files:
        for number, item in enumerate(list(drive.items.values())):
            if number % PAUSE_EVERY == 0:
                await asyncio.sleep(0)
            if item.source is None:
                body["driveFolders"].append({"id": item.id, "path": item.path()})
                continue
            body["files"].append(
                {
                    "id": item.id,
                    "path": item.path(),
                    "sha256": sha256_of(item.source),
                    "size": item.size,
                    "quickXorHash": item.quick_xor(),
                }
            )
    return body
