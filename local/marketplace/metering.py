"""Marketplace metering: one event per resource, dimension and hour; a status for every other."""

from collections.abc import Callable
from datetime import datetime, timedelta

from aiohttp import web

from local.marketplace.market import Market
from local.marketplace.wire import JSON, Refused, answer, body_of, guid, iso7
from local.microsoft365.clock import parse_iso

BATCH = 25
LATEST = timedelta(hours=24)


class Metering:
    """Handlers of /api/usageEvent, /api/batchUsageEvent and /api/usageEvents."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self.dimensions: set[str] = set()
        self.accepted: dict[tuple[str, str, datetime], JSON] = {}
        self.mismatched: set[str] = set()
        self.errors_left = 0
        self.foreign: set[str] = set()
        """Resources of another publisher's app."""

    def routes(self) -> list[web.AbstractRouteDef]:
        """All of them."""
        return [
            web.post("/api/usageEvent", self.one),
            web.post("/api/batchUsageEvent", self.batch),
            web.get("/api/usageEvents", self.reconcile),
        ]

    async def one(self, request: web.Request) -> web.Response:
        """A single event: its status is the answer's."""
        result = self._take(await body_of(request))
        status = {"Accepted": 200, "Duplicate": 409}.get(str(result["status"]), 400)
        if status == 409:
            error = {"code": "Conflict", "message": "This usage event already exist."}
            return answer({**error, "additionalInfo": result["error"]["additionalInfo"]}, 409)
        return answer(result, status)

    async def batch(self, request: web.Request) -> web.Response:
        """Up to 25; each with a status of its own."""
        asked = (await body_of(request)).get("request")
        if not isinstance(asked, list) or not 1 <= len(asked) <= BATCH:
            raise Refused(400, f"A batch has 1 to {BATCH} events.")
        results = [self._take(event) for event in asked]
        return answer({"count": len(results), "result": results})

    async def reconcile(self, request: web.Request) -> web.Response:
        """What was taken, by day, with the state of its reconciliation."""
        first = parse_iso(request.query["usageStartDate"]).date()
        wanted = request.query.get("reconStatus")
        rows = []
        for (resource, dimension, hour), event in self.accepted.items():
            state = "Mismatch" if resource in self.mismatched else "Accepted"
            if hour.date() >= first and wanted in (None, state):
                rows.append(
                    {
                        "usageDate": iso7(hour),
                        "usageResourceId": resource,
                        "dimension": dimension,
                        "planId": event["planId"],
                        "reconStatus": state,
                        "submittedQuantity": event["quantity"],
                        "processedQuantity": 0 if state == "Mismatch" else event["quantity"],
                        "submittedCount": 1,
                    }
                )
        return answer(rows)

    def _take(self, event: JSON) -> JSON:
        if self.errors_left > 0:
            self.errors_left -= 1
            return {**event, "status": "Error", "messageTime": iso7(self._market.clock.now())}
        for status, wrong in self._checks():
            if wrong(event):
                return {**event, "status": status, "messageTime": iso7(self._market.clock.now())}
        hour = parse_iso(str(event["effectiveStartTime"])).replace(
            minute=0, second=0, microsecond=0
        )
        key = (str(event["resourceId"]), str(event["dimension"]), hour)
        held = self.accepted.get(key)
        if held is not None:
            error = {"code": "Conflict", "additionalInfo": {"acceptedMessage": held}}
            return {**event, "status": "Duplicate", "error": error}
        taken = {
            **event,
            "usageEventId": guid(),
            "status": "Accepted",
            "messageTime": iso7(self._market.clock.now()),
        }
        self.accepted[key] = taken
        return taken

    def _checks(self) -> list[tuple[str, Callable[[JSON], bool]]]:
        now, sold = self._market.clock.now(), self._market.subscriptions

        def active(event: JSON) -> bool:
            found = sold[str(event["resourceId"])]
            when = parse_iso(str(event["effectiveStartTime"]))
            if found.state == "Unsubscribed":
                return found.ended_at is not None and when <= found.ended_at
            return found.state == "Subscribed"

        def when(event: JSON) -> datetime:
            return parse_iso(str(event["effectiveStartTime"]))

        return [
            ("BadArgument", lambda e: not e.get("effectiveStartTime") or not e.get("planId")),
            ("InvalidQuantity", lambda e: not isinstance(e.get("quantity"), int | float)),
            ("InvalidQuantity", lambda e: e["quantity"] <= 0),
            ("ResourceNotFound", lambda e: str(e.get("resourceId")) not in sold),
            ("ResourceNotAuthorized", lambda e: str(e["resourceId"]) in self.foreign),
            ("BadArgument", lambda e: when(e) > now),
            ("Expired", lambda e: when(e) < now - LATEST),
            (
                "InvalidDimension",
                lambda e: bool(self.dimensions) and e.get("dimension") not in self.dimensions,
            ),
            ("ResourceNotActive", lambda e: not active(e)),
        ]
