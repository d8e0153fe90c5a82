"""Crypto-erasure of one subject: its objects' keys die, a certificate stays (section 17).

Steps are idempotent and driven by a timer: `request`, then `advance` until it says `done`. Only
the eraser's identity may delete keys (V68); until the first key is deleted it can be cancelled.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.kit.blobs import BlobMissing
from shared.vault.errors import ErasureRefused
from shared.vault.format import names
from shared.vault.format.primitives import sha
from shared.vault.keyring import put_once
from shared.vault.locks import Immutable, true_versions
from shared.vault.model import instant, parse_instant
from shared.vault.repository import newest_number, record_numbers
from shared.vault.upkeep import Upkeep, erasure_mark, gone_name, read_fact, write_fact

# Unwrapped keys live in workers for an hour (V10).
CACHE_OVER = timedelta(hours=1)
_CODE = re.compile(r"[a-z0-9][a-z0-9.-]{1,63}")
LIMITS = (
    "Data about the subject in other objects (mail of colleagues, files of sites) is not erased.",
    "Copies of key blobs, exports and restored data made before are outside this erasure.",
    "Counts, sizes, times and the number of snapshots stay, as proof.",
    "Ciphertext stays until its lock ends; it rests on AES-256 and on the key not having leaked.",
    "Microsoft 365 itself is not touched.",
    "Whether destroying the key is erasure in the sense of a law is for the regulator to say.",
)


@dataclass(frozen=True, slots=True)
class Request:
    """Who asked for what. People's names never enter the vault, only the customer's copy."""

    erasure_id: str
    oids: tuple[str, ...]
    reason: str
    """A code without personal data, such as `gdpr-17`."""
    approvals: tuple[str, ...]
    purged: tuple[str, ...] = ()
    """Other stores emptied of the subject: views, search index, tables."""
    offline_copies: tuple[str, ...] = ()
    audit: tuple[str, ...] = ()
    """SHA-256 of audit entries."""


def erasure_name(erasure_id: str) -> str:
    """The erasure's progress, in the control container."""
    return f"erasures/{erasure_id}.json"


def certificate_name(erasure_id: str) -> str:
    """The certificate, in the vault."""
    return f"certs/{erasure_id}.json"


async def request(up: Upkeep, asked: Request) -> dict[str, Any]:
    """Steps 1 and 2: refuse or mark the objects, so that no run starts and the keeper stops."""
    if not (_CODE.fullmatch(asked.erasure_id) and _CODE.fullmatch(asked.reason)):
        raise ErasureRefused("id and reason are short codes without personal data")
    if len(set(asked.approvals)) < 2:
        raise ErasureRefused("an erasure needs the approval of two different persons")
    if up.locked and not up.rolling:
        raise ErasureRefused("the keys of this repository are locked until expiry (key_lock full)")
    known = await read_fact(up.control, erasure_name(asked.erasure_id))
    if known is not None:
        return known
    await _refuse_held(up, asked.oids)
    document = {
        "id": asked.erasure_id,
        "state": "waiting",
        "asked": instant(await up.locks.now()),
        "reason": asked.reason,
        "approvals": list(asked.approvals),
        "purged": list(asked.purged),
        "offline_copies": list(asked.offline_copies),
        "audit": list(asked.audit),
        "objects": [await _object(up, oid) for oid in asked.oids],
    }
    await write_fact(up.control, erasure_name(asked.erasure_id), document)
    for oid in asked.oids:
        await write_fact(up.control, erasure_mark(oid), {"erasure": asked.erasure_id})
    return document


async def cancel(up: Upkeep, erasure_id: str) -> None:
    """As long as no key was deleted; the keeper renews the locks again."""
    document = await _load(up, erasure_id)
    if document["state"] not in ("waiting", "cancelled"):
        raise ErasureRefused("keys were deleted already")
    await _save(up, document | {"state": "cancelled"})
    for one in document["objects"]:
        await up.control.delete(erasure_mark(one["oid"]))


async def advance(up: Upkeep, erasure_id: str) -> dict[str, Any]:
    """Do what can be done now: delete lapsed keys, verify absence, certify. May run twice."""
    document = await _load(up, erasure_id)
    if document["state"] == "waiting":
        await _refuse_held(up, [one["oid"] for one in document["objects"]])
        if not await _lapsed(up, document):
            return document
        document = await _save(up, document | {"state": "deleting"})
    if document["state"] == "deleting":
        document = await _delete(up, document)
    if document["state"] == "deleted" and await _absent(up, document):
        document = await _certify(up, document)
    return document


async def _lapsed(up: Upkeep, document: dict[str, Any]) -> bool:
    now = await up.locks.now()
    lapsed = True
    for one in document["objects"]:
        async for found in up.locks.versions(_keys(one["oid"])):
            lapsed = lapsed and found.free(now)
    return lapsed


async def _delete(up: Upkeep, document: dict[str, Any]) -> dict[str, Any]:
    now = instant(await up.locks.now())
    for one in document["objects"]:
        ends = []
        async for found in up.locks.versions(_keys(one["oid"])):
            try:
                await up.locks.delete(found)
            except Immutable as refused:
                raise ErasureRefused(f"{found.name} was locked again or is held") from refused
            if found.locked_until is not None:
                ends.append(found.locked_until)
        if ends:
            one["lock_lapsed_at"] = instant(max(ends))
        one.setdefault("deleted_at", now)
    return await _save(up, document | {"state": "deleted", "deleted": now})


async def _absent(up: Upkeep, document: dict[str, Any]) -> bool:
    """Step 4: no version, not even a soft-deleted one; no worker holds the key any more."""
    now = await up.locks.now()
    if now - parse_instant(document["deleted"]) <= CACHE_OVER:
        return False
    for one in document["objects"]:
        async for _ in up.locks.versions(_keys(one["oid"]), deleted=True):
            return False
        for name in one["keys"]:
            try:
                await up.store.get(name)
            except BlobMissing:
                continue
            return False
        one["absence_verified_at"] = instant(now)
    return True


async def _certify(up: Upkeep, document: dict[str, Any]) -> dict[str, Any]:
    certificate = await _certificate(up, document)
    name = certificate_name(document["id"])
    blob = json.dumps(certificate, separators=(",", ":")).encode()
    if not await put_once(up.store, name, blob):
        certificate = json.loads(await up.store.get(name))
    end = certificate["ciphertext"]["last_lock_end"]
    if up.locked and end is not None:
        for found in (await true_versions(up.locks, name)).values():
            if found.locked_until is None:
                await up.locks.lock(found, parse_instant(end))
    now = instant(await up.locks.now())
    for one in document["objects"]:
        gone = {"why": "erased", "at": now, "erasure": document["id"]}
        await write_fact(up.control, gone_name(one["oid"]), gone)  # before the mark goes (V70)
        await up.control.delete(erasure_mark(one["oid"]))
    return await _save(up, document | {"state": "done", "certificate": certificate})


async def _certificate(up: Upkeep, document: dict[str, Any]) -> dict[str, Any]:
    blobs = size = 0
    last: datetime | None = None
    for one in document["objects"]:
        async for found in up.locks.versions(f"o/{one['oid']}/"):
            blobs, size = blobs + 1, size + found.size
            if found.locked_until is not None:
                last = max(last or found.locked_until, found.locked_until)
    return {
        "v": 1,
        "id": document["id"],
        "repo": up.repo,
        "reason": document["reason"],
        "asked": document["asked"],
        "approvals": len(set(document["approvals"])),
        "objects": document["objects"],
        "ciphertext": {
            "blobs": blobs,
            "bytes": size,
            "last_lock_end": None if last is None else instant(last),
        },
        "purged": document["purged"],
        "offline_copies": document["offline_copies"],
        "limits": list(LIMITS),
        "audit": document["audit"],
    }


def customers_copy(document: dict[str, Any], subject: str) -> dict[str, Any]:
    """The certificate with the names of people, for the customer only."""
    found: dict[str, Any] = document["certificate"]
    return found | {"subject": subject, "approved_by": list(document["approvals"])}


async def _object(up: Upkeep, oid: str) -> dict[str, Any]:
    found: dict[str, Any] = {"oid": oid, "keys": {}}
    async for one in up.locks.versions(_keys(oid)):
        found["keys"][one.name] = sha(await up.locks.read(one)).hex()
    if not found["keys"]:
        raise ErasureRefused("one of the objects has no key: it was erased, or never backed up")
    newest = await newest_number(up.store, oid)
    if newest:
        head = (await up.load(oid, newest)).snapshot
        found |= {"workload": head.workload, "n": newest, "root": head.root}
        found |= {"record_hash": head.record_hash}
        found["snapshots"] = len(await record_numbers(up.store, oid))
    return found


async def _refuse_held(up: Upkeep, oids: Sequence[str]) -> None:
    for oid in oids:
        if (await up.facts(oid)).held:
            raise ErasureRefused("an object is under legal hold")


async def _load(up: Upkeep, erasure_id: str) -> dict[str, Any]:
    found = await read_fact(up.control, erasure_name(erasure_id))
    if found is None:
        raise ErasureRefused("there is no such erasure")
    return found


async def _save(up: Upkeep, document: dict[str, Any]) -> dict[str, Any]:
    await write_fact(up.control, erasure_name(document["id"]), document)
    return document


def _keys(oid: str) -> str:
    return names.object_key(oid).rsplit("/", 1)[0] + "/"
