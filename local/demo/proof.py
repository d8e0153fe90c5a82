"""The equality proof: what a person sees in Microsoft 365, hashed before and after.

A mail's fingerprint covers subject, sender, recipients, times, read state, importance, categories,
body and every attachment's bytes, all read through Graph; a file's is the SHA-256 of its bytes.
A message inside a mail counts by what it says, recursively: Graph makes its MIME anew.
"""

import asyncio
import hashlib
import json
from base64 import b64decode
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any

import aiohttp

Json = dict[str, Any]

MAIL = (
    "id,subject,from,sender,toRecipients,ccRecipients,bccRecipients,replyTo,sentDateTime,"
    "receivedDateTime,isRead,isDraft,importance,categories,body,internetMessageId"
)
ITEM = "#microsoft.graph.itemAttachment"
NESTED = (
    "subject,from,sender,toRecipients,ccRecipients,bccRecipients,replyTo,sentDateTime,"
    "importance,isDraft,body,internetMessageId"
)
LEVELS = 10
"""How many messages inside each other are looked into."""
AT_ONCE = 3
"""Below the four that a mailbox allows: the backup may be running too."""


@dataclass(frozen=True)
class Fingerprint:
    """One item as it is now: what it is called, and the hash of all that counts."""

    name: str
    digest: str


class Tenant:
    """Reads a tenant through Graph with an application token."""

    def __init__(self, session: aiohttp.ClientSession, graph: str, token: str) -> None:
        self._session = session
        self._graph = f"{graph}/v1.0"
        self._headers = {"Authorization": f"Bearer {token}", "Prefer": 'IdType="ImmutableId"'}

    async def mails(self, user: str, folder: str) -> dict[str, Fingerprint]:
        """Fingerprints of a folder's messages, by message id."""
        found: dict[str, Fingerprint] = {}
        messages = [
            message
            async for message in self._values(
                f"/users/{user}/mailFolders/{folder}/messages?$top=50&$select={MAIL}"
            )
        ]
        for start in range(0, len(messages), AT_ONCE):
            part = messages[start : start + AT_ONCE]
            prints = await asyncio.gather(*(self._mail(user, message) for message in part))
            found |= {m["id"]: p for m, p in zip(part, prints, strict=True)}
        return found

    async def folders(self, user: str, parent: str = "") -> AsyncIterator[tuple[str, str]]:
        """(path, id) of every mail folder, children after their parent."""
        below = f"/{parent}/childFolders" if parent else ""
        async for folder in self._values(
            f"/users/{user}/mailFolders{below}?includeHiddenFolders=true&$top=100"
        ):
            yield folder["displayName"], folder["id"]
            if folder.get("childFolderCount"):
                async for name, identity in self.folders(user, folder["id"]):
                    yield f"{folder['displayName']}/{name}", identity

    async def files(self, drive: str, folder: str = "root", at: str = "") -> dict[str, Fingerprint]:
        """Fingerprints of all files below a folder, by path."""
        found: dict[str, Fingerprint] = {}
        below = f"/drives/{drive}/root" if folder == "root" else f"/drives/{drive}/items/{folder}"
        async for item in self._values(f"{below}/children?$top=200"):
            path = f"{at}/{item['name']}" if at else item["name"]
            if "folder" in item:
                found |= await self.files(drive, item["id"], path)
            elif "file" in item:
                content = await self._bytes(f"/drives/{drive}/items/{item['id']}/content")
                found[path] = Fingerprint(path, hashlib.sha256(content).hexdigest())
        return found

    async def _mail(self, user: str, message: Json) -> Fingerprint:
        attachments = []
        listing = f"/users/{user}/messages/{message['id']}/attachments"
        async for attachment in self._values(f"{listing}?$select=id,name,contentType,isInline"):
            path = f"{listing}/{attachment['id']}"
            if attachment["@odata.type"] == ITEM:
                content = _nested(await self._json(f"{path}?$expand={expand(LEVELS)}"))
            else:
                content = await self._bytes(f"{path}/$value")
            attachments.append(_attachment(attachment, content))
        seen = {name: message.get(name) for name in MAIL.split(",") if name != "id"}
        seen["attachments"] = sorted(attachments)
        text = json.dumps(seen, sort_keys=True, ensure_ascii=False).encode()
        return Fingerprint(message.get("subject") or "(no subject)", _sha(text))

    async def _values(self, path: str) -> AsyncIterator[Json]:
        link = self._graph + path
        while link:
            async with self._session.get(link, headers=self._headers) as answer:
                answer.raise_for_status()
                page = await answer.json()
            for value in page["value"]:
                yield value
            link = page.get("@odata.nextLink", "")

    async def _json(self, path: str) -> Json:
        async with self._session.get(self._graph + path, headers=self._headers) as answer:
            answer.raise_for_status()
            found: Json = await answer.json()
            return found

    async def _bytes(self, path: str) -> bytes:
        async with self._session.get(self._graph + path, headers=self._headers) as answer:
            answer.raise_for_status()
            return await answer.read()


def expand(levels: int) -> str:
    """The $expand that shows a nested message with its attachments, that many levels deep."""
    below = f"($expand={expand(levels - 1)})" if levels > 1 else ""
    return (
        f"microsoft.graph.itemattachment/item($expand=microsoft.graph.message/attachments{below})"
    )


def _nested(attachment: Json) -> bytes:
    """What a nested message says, as bytes to hash."""
    item = attachment["item"]
    seen: Json = {name: item.get(name) for name in NESTED.split(",")}
    seen["attachments"] = sorted(
        _attachment(
            one, _nested(one) if one["@odata.type"] == ITEM else b64decode(one["contentBytes"])
        )
        for one in item["attachments"]
    )
    return json.dumps(seen, sort_keys=True, ensure_ascii=False).encode()


def _attachment(shown: Json, content: bytes) -> list[str]:
    told = [shown["@odata.type"], shown["name"], str(shown["isInline"])]
    return [*told, hashlib.sha256(content).hexdigest()]


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def differences(before: Iterable[Fingerprint], after: Iterable[Fingerprint]) -> list[str]:
    """Names of items that were there before and have no equal now; counted, not just present."""
    left = sorted((p.digest, p.name) for p in before)
    there: dict[str, int] = {}
    for fingerprint in after:
        there[fingerprint.digest] = there.get(fingerprint.digest, 0) + 1
    missing = []
    for digest, name in left:
        if there.get(digest, 0) > 0:
            there[digest] -= 1
        else:
            missing.append(name)
    return missing
