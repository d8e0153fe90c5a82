"""Writes list items back: the list and its missing columns first, then the items.

Rule: microsoft365.md section 9.4. Graph sets neither author nor creation time, so both go into a
text column; columns whose values are ids of the source, or that Graph cannot create, are named.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from shared.microsoft365.calls import Call, Reply
from shared.microsoft365.enumeration import Feed
from shared.microsoft365.errors import ItemFailed
from shared.microsoft365.faults import Asked
from shared.microsoft365.model import Collision, Restored
from shared.microsoft365.quotas import DriveCall, drive_units
from shared.microsoft365.transport import GraphTransport
from shared.microsoft365.urls import url

MADE_FROM = "RestoredFrom"
"""Column with author and time of the original."""
MAKEABLE = frozenset({"text", "number", "boolean", "dateTime", "choice", "currency"})
# SharePoint's own; a write of one is refused.
SYSTEM = frozenset({"id", "ContentType", "Created", "Modified", "Attachments", "Author", "Editor"})
UNINDEXED = {"Prefer": "HonorNonIndexedQueriesWarningMayFailRandomly"}

_json = msgspec.json.Decoder(dict[str, Any])
_many = msgspec.json.Decoder(Feed[dict[str, Any]])


def makeable(column: Mapping[str, Any]) -> dict[str, Any] | None:
    """The column as Graph can create it; None for system columns and lossy kinds: pure."""
    kinds = MAKEABLE & column.keys()
    if column.get("readOnly") or column.get("hidden") or column.get("name") == "Title":
        return None
    if not kinds:
        return None
    kept = {"name", "displayName", "description", *kinds}
    return {name: value for name, value in column.items() if name in kept}


def origin_of(stored: Mapping[str, Any]) -> str:
    """Author and time of the original in one line: also what tells a restored item apart."""
    author = (stored.get("createdBy") or {}).get("user") or {}
    who = author.get("email") or author.get("displayName") or "unknown"
    return f"{who}, {stored.get('createdDateTime', '')}"


class ListRestore:
    """Restores into the lists of one site; its transport signs as the Restorer."""

    def __init__(self, transport: GraphTransport, site_id: str) -> None:
        self._transport, self._site = transport, site_id
        self._lane = transport.share_point()
        self._columns: dict[str, set[str]] = {}
        self._ids: dict[str, str] = {}

    async def ensure_list(self, name: str, definition: Mapping[str, Any]) -> str:
        """Id of the list with this title; it and missing columns are created, none is changed."""
        if name in self._ids:
            return self._ids[name]
        found = await self._find(name)
        if found is None:
            body = {"displayName": name, "list": {"template": "genericList"}}

            async def settle() -> Reply | None:
                mine = await self._find(name)
                return Reply(201, {}, orjson.dumps({"id": mine})) if mine else None

            call = self._call("POST", self._url("site_lists"), body=body)
            reply = await self._transport.send(call, settle)
            found = str(_json.decode(reply.body)["id"])
        known = {str(one["name"]) for one in await self._all("list_columns", list=found)}
        wanted = [made for one in definition.get("columns") or [] if (made := makeable(one))]
        wanted.append({"name": MADE_FROM, "displayName": "Restored from", "text": {}})
        for column in wanted:
            if column["name"] not in known:
                link = self._url("list_columns", list=found)
                await self._transport.send(
                    self._call("POST", link, body=column, replay=True, accept=(409,))
                )
                known.add(column["name"])
        makeables = {str(one["name"]) for one in wanted}
        self._columns[found] = (makeables & known) | {"Title"}
        self._ids[name] = found
        return found

    async def restore_item(
        self, list_id: str, stored: Mapping[str, Any], collision: Collision = "skip"
    ) -> Restored:
        """Create the item of a stored JSON again; safe to repeat with `skip`.

        Collision key: title, author and creation time. `replace` creates first, then deletes.
        """
        fields = stored.get("fields") or {}
        existing = await self._existing(list_id, stored)
        if existing is not None and collision == "skip":
            return Restored(existing, "skipped")
        writable = self._columns[list_id]
        body = {name: value for name, value in fields.items() if name in writable}
        body[MADE_FROM] = origin_of(stored)
        lost = sorted(
            name for name in fields.keys() - writable - SYSTEM if not name.startswith("_")
        )

        async def settle() -> Reply | None:
            mine = await self._existing(list_id, stored, but=existing)
            return Reply(201, {}, orjson.dumps({"id": mine})) if mine else None

        link = self._url("list_items", list=list_id)
        reply = await self._transport.send(self._call("POST", link, body={"fields": body}), settle)
        made = str(_json.decode(reply.body)["id"])
        notes = ["author_and_created_as_text", *(f"column_lost:{name}" for name in lost)]
        if existing is None or collision == "copy":
            return Restored(made, "created", notes)
        old = self._url("list_item", list=list_id, item=existing)
        await self._transport.send(self._call("DELETE", old, replay=True, accept=(404,)))
        return Restored(made, "replaced", notes)

    async def _existing(
        self, list_id: str, stored: Mapping[str, Any], but: str | None = None
    ) -> str | None:
        """The item itself, or what an earlier restore made of it."""
        title = str((stored.get("fields") or {}).get("Title") or "")
        quoted = title.replace("'", "''")
        query = {"$expand": "fields", "$filter": f"fields/Title eq '{quoted}'"}
        link, origin = self._url("list_items", query, list=list_id), origin_of(stored)
        while link:
            call = self._call("GET", link, cost="list")
            feed = await self._transport.get(
                msgspec.structs.replace(call, headers=UNINDEXED), _many
            )
            for one in feed.value:
                made = (one.get("fields") or {}).get(MADE_FROM)
                if str(one["id"]) != but and origin in (made, origin_of(one)):
                    return str(one["id"])
            link = feed.next_link
        return None

    async def _find(self, name: str) -> str | None:
        for one in await self._all("site_lists"):
            if str(one.get("displayName", "")).casefold() == name.casefold():
                if (one.get("list") or {}).get("template") == "documentLibrary":
                    raise ItemFailed("NameIsALibrary", 409)
                return str(one["id"])
        return None

    async def _all(self, shape: str, **ids: str) -> list[dict[str, Any]]:
        link, found = self._url(shape, **ids), list[dict[str, Any]]()
        while link:
            feed = await self._transport.get(self._call("GET", link, cost="list"), _many)
            found += feed.value
            link = feed.next_link
        return found

    def _url(self, shape: str, query: dict[str, str] | None = None, /, **ids: str) -> str:
        return url(self._transport.base, shape, query, site=self._site, **ids)

    def _call(
        self,
        method: str,
        link: str,
        *,
        body: Any = None,
        replay: bool = False,
        accept: tuple[int, ...] = (),
        cost: DriveCall = "write",
    ) -> Call:
        return Call(
            method=method,
            url=link,
            lane=self._lane,
            ru=drive_units(self._transport.wire.quotas, cost),
            headers={"Content-Type": "application/json"} if body is not None else {},
            body=orjson.dumps(body) if body is not None else None,
            asked=Asked(about="write", get=method == "GET"),
            replay=replay or method == "GET",
            accept=frozenset(accept),
        )
