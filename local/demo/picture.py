"""What the victim, the site and the team hold: fingerprints of everything that was shown before.

Mails and files are read back through Graph; events, contacts, list items and messages are told by
the simulated Microsoft 365 itself.
"""

import asyncio
import base64
import hashlib
import json
import ssl
from typing import Any

import aiohttp

from local.demo.api import Json
from local.demo.proof import Fingerprint, Tenant
from local.demo.show import say
from local.demo.story import Story, expect

Picture = dict[str, list[Fingerprint]]
"""Kind -> every item of it."""

EVENT = ("calendar", "subject", "isSeries", "exceptions", "cancelled", "times", "attachments")
LIST_ITEM = ("Title", "Status", "Amount", "Due", "Notes", "Urgent")
"""What people typed; calculated columns are not written."""
MESSAGE = ("authorId", "content", "subject", "hosted")
# What the API calls them, and their members of the truth.
PERSONAL = {"mailbox": {"mail": "mails", "event": "events", "contact": "contacts"},
            "drive": {"file": "files"}}  # fmt: skip


def take(story: Story) -> Picture:
    """Everything that the disaster will strike, as it is now."""
    mails, files = asyncio.run(_look(story))
    truth = story.side.truth(story.tenant["tenantId"], story.victim["id"])
    found: Picture = {
        "mails": mails,
        "files": files,
        "events": [_print(one["subject"], {n: one[n] for n in EVENT}) for one in truth["events"]],
        "contacts": [_contact(one) for one in truth["contacts"]],
    }
    owners = story.owners
    if "site" in owners:
        site = story.side.shared_truth(story.tenant["tenantId"], "sites", owners["site"])
        found["files of the site"] = [
            _print(f"{one['name']}{file['path']}", [one["name"], file["path"], file["sha256"]])
            for one in site["libraries"]
            for file in one["files"]
        ]
        found["list items"] = [
            _print(item["fields"]["Title"], [one["name"], *map(item["fields"].get, LIST_ITEM)])
            for one in site["lists"]
            for item in one["items"]
        ]
    if "team" in owners:
        team = story.side.shared_truth(story.tenant["tenantId"], "teams", owners["team"])
        found["channel messages"] = [
            _print(
                said["content"][:40], [one["name"], bool(said["rootId"]), *map(said.get, MESSAGE)]
            )
            for one in team["channels"]
            for said in one["messages"]
        ]
    return found


def check_against_truth(story: Story) -> None:
    """Every item of the tenant: nothing missing, and hashes of mails and files as at the source."""
    hashed = counted = 0
    wrong: list[str] = []
    protected = {
        (one["workload"], one["ownerId"]): one
        for one in story.api.all(f"/customers/{story.customer}/objects", maxpagesize="1000")
    }
    for (workload, owner), found in protected.items():
        path = f"/objects/{found['id']}/snapshots/{found['lastPoint']['n']}/items"
        held = list(story.api.all(path, maxpagesize="1000"))
        hashes, numbers = _truth(story, workload, owner)
        hashed += len(hashes)
        counted += sum(numbers.values())
        with_hash = ("mail", "file")
        if sorted(_hex(one) for one in held if one["kind"] in with_hash) != sorted(hashes):
            wrong.append(f"{found['address'] or found['displayName']} ({workload})")
        for kind, number in numbers.items():
            if sum(one["kind"] == kind for one in held) != number:
                wrong.append(f"{kind}s of {found['displayName']}")
    expect(not wrong, f"the snapshot differs from the source: {', '.join(wrong[:5])}")
    say(
        f"[green]✓[/] all {hashed:,} mails and files of the tenant: hash in the vault = hash at "
        f"the source; {counted:,} others: none missing"
    )


def _truth(story: Story, workload: str, owner: str) -> tuple[list[str], dict[str, int]]:
    """Hashes of what is compared by hash, and numbers of the rest by kind."""
    tenant = story.tenant["tenantId"]
    if workload in PERSONAL:
        truth = story.side.truth(tenant, owner)
        kinds = PERSONAL[workload]
        hashes = [
            one["sha256"] for name in ("mails", "files") if name in kinds.values()
            for one in truth[name]
        ]  # fmt: skip
        return hashes, {k: len(truth[n]) for k, n in kinds.items() if k not in {"mail", "file"}}
    truth = story.side.shared_truth(tenant, f"{workload}s", owner)
    if workload == "site":
        files = [file["sha256"] for one in truth["libraries"] for file in one["files"]]
        return files, {"listitem": sum(len(one["items"]) for one in truth["lists"])}
    said = [message for one in truth["channels"] for message in one["messages"]]
    replies = sum(message["rootId"] is not None for message in said)
    return [], {"message": len(said) - replies, "reply": replies}


async def _look(story: Story) -> tuple[list[Fingerprint], list[Fingerprint]]:
    trusted = ssl.create_default_context(cafile=str(story.stack.certificates.bundle))
    connector = aiohttp.TCPConnector(ssl=trusted)
    async with aiohttp.ClientSession(connector=connector) as session:
        token = await asyncio.to_thread(story.stack.reader_token, story.tenant["tenantId"])
        tenant = Tenant(session, story.stack.urls.microsoft365_tls, token)
        mails: list[Fingerprint] = []
        async for _, folder in tenant.folders(story.victim["id"]):
            mails += (await tenant.mails(story.victim["id"], folder)).values()
        files = await tenant.files(story.victim["driveId"])
        return mails, [Fingerprint(at, f"{at}: {one.digest}") for at, one in files.items()]


def _contact(one: Json) -> Fingerprint:
    members = {
        name: value for name, value in one["body"].items() if value not in (None, "", [], {})
    }
    return _print(one["displayName"], [one["folder"], members, one["photo"]])


def _print(name: str, told: Any) -> Fingerprint:
    text = json.dumps(told, sort_keys=True, ensure_ascii=False).encode()
    return Fingerprint(name, hashlib.sha256(text).hexdigest())


def _hex(item: Json) -> str:
    text = item["contentHash"] or ""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).hex()
