"""Writes events back into a calendar: nobody is mailed, series keep their days.

Rules: microsoft365.md section 9.2 (M33), M30, M32 (replace never loses), M36 (collision key).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import orjson

from shared.microsoft365 import calendar_json
from shared.microsoft365.calendar_json import EventPlan
from shared.microsoft365.calls import Reply
from shared.microsoft365.errors import GraphError, ItemFailed
from shared.microsoft365.event_attachments import FILE, decoded, loads
from shared.microsoft365.mail_json import ATTACHMENT_LIMIT_BYTES, SESSION_FROM_BYTES
from shared.microsoft365.mail_restore import FRAGMENT_BYTES, TOO_SMALL
from shared.microsoft365.model import Collision, Restored
from shared.microsoft365.personal_restore import TAKEN, PersonalRestore, id_of, quoted
from shared.microsoft365.transport import GraphTransport
from shared.microsoft365.uploads import Upload, session_of

SHOWN = "id,iCalUId,subject,type,start,end,recurrence,attendees"


class CalendarRestore(PersonalRestore):
    """Restores into one mailbox's calendars."""

    def __init__(self, transport: GraphTransport, user_id: str) -> None:
        super().__init__(transport, user_id)
        self._calendars: dict[str, str] = {}

    async def ensure_folder(self, path: Sequence[str]) -> str:
        """Id of the calendar with these names joined: calendars do not nest."""
        name = " - ".join(path)
        if not name:
            raise ItemFailed("CalendarWithoutName", 400)
        if name not in self._calendars:
            self._calendars[name] = await self._ensure(name)
        return self._calendars[name]

    async def find_existing(self, calendar_id: str, stored: Mapping[str, Any]) -> str | None:
        """An event with the same collision key, or None."""
        return next(iter(await self._find(calendar_id, stored)), None)

    async def restore_event(
        self, stored: bytes, calendar_id: str, collision: Collision = "skip"
    ) -> Restored:
        """Make a stored event or series again. Safe to repeat with `skip`.

        `replace` makes the new one first (M32); the old one stays when it has attendees, since
        removing it would mail them that the meeting is off.
        """
        event = loads(stored)
        before = await self._find(calendar_id, event)
        if before and collision == "skip":
            return Restored(next(iter(before)), "skipped")
        plan = calendar_json.plan(event)
        notes = list(plan.notes)
        created = await self._create(calendar_id, event, plan, set(before))
        try:
            notes += await self._days(created, plan)
            notes += await self._attach(created, plan)
        except GraphError:
            await self._remove(created)  # it has no attendees: nobody is told
            raise
        if not before or collision != "replace":
            return Restored(created, "created", notes)
        kept = [i for i, has_attendees in before.items() if has_attendees]
        for old in before.keys() - set(kept):
            await self._remove(old)
        if kept:
            return Restored(created, "created", [*notes, "original_kept_for_its_attendees"])
        return Restored(created, "replaced", notes)

    async def _create(
        self, calendar_id: str, event: Mapping[str, Any], plan: EventPlan, before: set[str]
    ) -> str:
        async def settle() -> Reply | None:
            new = [i for i in await self._find(calendar_id, event) if i not in before]
            return Reply(201, {}, orjson.dumps({"id": new[0]})) if new else None

        link = self.link("calendar_events", calendar=calendar_id)
        return id_of(await self.transport.send(self.call("POST", link, plan.event), settle))

    async def _days(self, created: str, plan: EventPlan) -> list[str]:
        """Changed days first, then the cancelled ones (M33); notes of what is not there."""
        notes = []
        where = plan.event["start"]["timeZone"]
        for day, patch in plan.changed:
            found = await self._instance(created, day, where)
            if found is None:
                notes.append(f"day_not_found:{day}")
                continue
            await self.send("PATCH", self.link("event", event=found), patch, replay=True)
        for day in plan.cancelled:
            found = await self._instance(created, day, where)
            if found is not None:
                await self._remove(found)
        return notes

    async def _instance(self, series: str, day: str, where: str) -> str | None:
        at = datetime.fromisoformat(day)
        query = {
            "startDateTime": (at - timedelta(days=1)).isoformat(),
            "endDateTime": (at + timedelta(days=2)).isoformat(),
            "$select": "id,type,start,originalStart,occurrenceId",
        }
        found = await self.all(self.link("event_instances", query, event=series))
        same = [one for one in found if calendar_json.day_of(one, where) == day]
        return str(same[0]["id"]) if same else None

    async def _attach(self, created: str, plan: EventPlan) -> list[str]:
        notes = []
        for one in plan.attachments:
            data, name = decoded(one), str(one.get("name") or "attachment")
            if one.get("@odata.type", FILE) != FILE or data is None:
                notes.append(f"attachment_not_restored:{name}")
            elif len(data) > ATTACHMENT_LIMIT_BYTES:
                notes.append(f"attachment_too_large:{name}")
            elif len(data) >= SESSION_FROM_BYTES:
                await self._attach_large(created, one, data)
            else:
                await self._attach_one(created, one)
        return notes

    async def _attach_one(self, created: str, one: Mapping[str, Any]) -> None:
        members = ("name", "contentType", "isInline", "contentId", "contentBytes")
        body = {name: one[name] for name in members if one.get(name) is not None}
        link = self.link("event_attachments", event=created)
        await self.send("POST", link, {"@odata.type": FILE, **body})

    async def _attach_large(self, created: str, one: Mapping[str, Any], data: bytes) -> None:
        described = {
            "attachmentType": "file",
            "name": one.get("name"),
            "contentType": one.get("contentType"),
            "isInline": bool(one.get("isInline")),
            "size": len(data),
        }
        link = self.link("event_upload", event=created)
        try:
            # An unused session expires by itself, so that opening a second one does no harm.
            reply = await self.send("POST", link, {"AttachmentItem": described}, replay=True)
        except ItemFailed as refusal:
            if refusal.graph_code != TOO_SMALL:
                raise
            await self._attach_one(created, one)
            return
        upload = Upload(self.transport, self._lane, session_of(reply).upload_url, len(data))
        await upload.send(data, FRAGMENT_BYTES)

    async def _remove(self, event_id: str) -> None:
        await self.delete(self.link("event", event=event_id))

    async def _find(self, calendar_id: str, stored: Mapping[str, Any]) -> dict[str, bool]:
        """Events with the same collision key, and whether they have attendees.

        A restored event has an iCalUId of its own, so the second key is looked for as well.
        """
        filters = []
        if stored.get("iCalUId"):
            filters.append(f"iCalUId eq {quoted(stored['iCalUId'])}")
        start = str((stored.get("start") or {}).get("dateTime"))[:19]
        filters.append(f"start/dateTime eq {quoted(start)}")
        for text in filters:
            query = {"$filter": text, "$select": SHOWN, "$top": "50"}
            listed = await self.all(self.link("calendar_events", query, calendar=calendar_id))
            same = [
                one
                for one in listed
                if (stored.get("iCalUId") and one.get("iCalUId") == stored["iCalUId"])
                or calendar_json.same_event(one, stored)
            ]
            if same:
                return {str(one["id"]): bool(one.get("attendees")) for one in same}
        return {}

    async def _ensure(self, name: str) -> str:
        async def settle() -> Reply | None:
            listed = await self.all(self.link("calendars", {"$top": "100"}))
            same = [one for one in listed if str(one.get("name")).casefold() == name.casefold()]
            return Reply(200, {}, orjson.dumps({"id": same[0]["id"]})) if same else None

        reply = await settle()
        if reply is None:
            call = self.call("POST", self.link("calendars"), {"name": name})
            reply = await self.transport.send(msgspec.structs.replace(call, accept=TAKEN), settle)
            reply = await settle() if reply.status in TAKEN else reply
        if reply is None:
            raise ItemFailed("CalendarNotFound", 409)
        return id_of(reply)
