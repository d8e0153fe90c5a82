"""Finds the libraries of a site that a restore writes to; missing ones are created by name."""

from typing import Any

import msgspec
import orjson

from shared.microsoft365.calls import Call
from shared.microsoft365.drive_restore import DriveRestore
from shared.microsoft365.enumeration import Feed
from shared.microsoft365.errors import ItemFailed
from shared.microsoft365.faults import Asked
from shared.microsoft365.quotas import drive_units
from shared.microsoft365.transport import GraphTransport
from shared.microsoft365.urls import url

_json = msgspec.json.Decoder(dict[str, Any])
_many = msgspec.json.Decoder(Feed[dict[str, Any]])


class SiteRestore:
    """The document libraries of one site, each as a drive; its transport signs as the Restorer."""

    def __init__(self, transport: GraphTransport, site_id: str) -> None:
        self._transport, self._site = transport, site_id
        self._lane = transport.share_point()
        self._drives: dict[str, DriveRestore] = {}

    async def default_library(self) -> DriveRestore:
        """The site's default document library."""
        if "" not in self._drives:
            link = url(self._transport.base, "site_drive", {"$select": "id"}, site=self._site)
            found = await self._transport.get(self._call("GET", link), _json)
            self._drives[""] = DriveRestore(self._transport, str(found["id"]))
        return self._drives[""]

    async def library(self, name: str) -> DriveRestore:
        """The library with this name; created when it is missing."""
        key = name.casefold()
        if key not in self._drives:
            drive_id = await self._find(key)
            if drive_id is None:
                body = {"displayName": name, "list": {"template": "documentLibrary"}}
                link = url(self._transport.base, "site_lists", site=self._site)
                # A second creation of the same name is refused, so repeating does no harm.
                await self._transport.send(self._call("POST", link, orjson.dumps(body)))
                drive_id = await self._find(key)
            if drive_id is None:
                raise ItemFailed("LibraryNotThere", 404)
            self._drives[key] = DriveRestore(self._transport, drive_id)
        return self._drives[key]

    async def _find(self, key: str) -> str | None:
        link = url(self._transport.base, "site_drives", {"$select": "id,name"}, site=self._site)
        while link:
            feed = await self._transport.get(self._call("GET", link), _many)
            for drive in feed.value:
                if str(drive.get("name", "")).casefold() == key:
                    return str(drive["id"])
            link = feed.next_link
        return None

    def _call(self, method: str, link: str, body: bytes | None = None) -> Call:
        return Call(
            method=method,
            url=link,
            lane=self._lane,
            ru=drive_units(self._transport.wire.quotas, "write" if body else "list"),
            headers={"Content-Type": "application/json"} if body else {},
            body=body,
            asked=Asked(about="write", get=method == "GET"),
            accept=frozenset({409}) if body else frozenset(),
        )
