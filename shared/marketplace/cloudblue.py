"""CloudBlue Connect as its vendor: fulfilment requests, assets, usage files (2.1).

Every change is a request that waits for our answer; the asset is the truth. Connect names no end
of a term: a term rolls on from the day of purchase until the asset is terminated.
"""

import re
from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import quote

import orjson

from shared.kit.clock import Clock
from shared.marketplace import workbook
from shared.marketplace.dimensions import months_after
from shared.marketplace.http import Caller, json_of
from shared.marketplace.model import (
    CLOUDBLUE,
    Asked,
    Buyer,
    ChannelAnswer,
    ChannelEvent,
    ChannelSubscription,
    Hook,
    Kind,
    Status,
    Unreadable,
    UsageRecord,
    UsageResult,
    UsageStatus,
)
from shared.marketplace.refusals import CallerUnproven, ChannelDown, ChannelRefuses

PAGE = 100
MOST_TEXT = 200
"""Characters of an id or a word: a longer one is not cut, as two could become one."""
KINDS = {
    "purchase": Kind.ORDERED, "change": Kind.CHANGED, "suspend": Kind.SUSPENDED,
    "resume": Kind.RESUMED, "cancel": Kind.CANCELLED, "adjustment": Kind.ADJUSTED,
    "renew": Kind.RENEWED, "transfer": Kind.TRANSFERRED,
}  # fmt: skip
STATUSES = {
    "draft": Status.PENDING, "processing": Status.PENDING, "active": Status.ACTIVE,
    "suspended": Status.SUSPENDED, "terminating": Status.ACTIVE, "terminated": Status.CANCELLED,
}  # fmt: skip
WANTED = {
    "purchase": Status.ACTIVE, "resume": Status.ACTIVE, "suspend": Status.SUSPENDED,
    "cancel": Status.CANCELLED,
}  # fmt: skip
FILES = {
    "invalid": UsageStatus.REJECTED, "rejected": UsageStatus.REJECTED,
    "accepted": UsageStatus.ACCEPTED, "closed": UsageStatus.ACCEPTED,
}  # fmt: skip
MONTHS = {"P1M": 1, "P1Y": 12, "P2Y": 24, "P3Y": 36}
LOOK_AHEAD = timedelta(days=1)
"""A term is extended a day before it ends, so that no night finds it over."""
_TOTAL = re.compile(r"items \d+-\d+/(\d+)")


class CloudBlue:
    """The adapter."""

    source = CLOUDBLUE

    def __init__(self, caller: Caller, hook_secret: str, template: str, clock: Clock) -> None:
        self._caller, self._secret, self._template = caller, hook_secret, template
        self._clock = clock

    async def verify_and_parse(self, hook: Hook) -> ChannelEvent:
        """A call-back: a token signed with the secret shared with Connect, and a request's id."""
        import jwt  # late: every other function starts without it

        scheme, _, token = hook.headers.get("authorization", "").partition(" ")
        if not self._secret or scheme.lower() != "bearer":
            raise CallerUnproven("Send 'Authorization: Bearer <token>'.")
        try:
            jwt.decode(token, self._secret, ["HS256"], options={"require": ["exp"]}, leeway=60)
        except jwt.PyJWTError as refused:
            raise CallerUnproven(f"{refused}.") from refused
        return parse(hook, self._clock.now())

    async def note(self, event: ChannelEvent) -> None:
        """Nothing: Connect itself keeps the truth."""

    async def fetch(self, external_id: str) -> ChannelSubscription | None:
        """The asset; None for one that Connect does not know."""
        try:
            got = await self._caller.call("GET", f"/assets/{quote(external_id, safe='')}")
        except ChannelRefuses as refused:
            if refused.answered in (400, 404):
                return None
            raise
        return asset_of(json_of(got), self._clock.now().date())

    async def asked(self, event: ChannelEvent) -> Asked | None:
        """The request, as long as it is pending and concerns this asset."""
        try:
            got = await self._caller.call("GET", f"/requests/{quote(event.event_id, safe='')}")
        except ChannelRefuses as refused:
            if refused.answered in (400, 404):
                return None
            raise
        found = json_of(got) or {}
        asset = found.get("asset") or {}
        if found.get("status") != "pending" or asset.get("id") != event.external_id:
            return None
        item = (asset.get("items") or [{}])[0]
        kind, quantity = str(found.get("type")), _whole(item.get("quantity"))
        missing = "" if _params(asset).get("tenant_id") else "tenant_id"
        if item.get("quantity") and quantity is None:
            missing = "a quantity that is a number"
        return Asked(
            event_id=event.event_id,
            external_id=event.external_id,
            action=kind,
            plan_id=item.get("mpn"),
            quantity=quantity,
            status=WANTED.get(kind),
            is_first=kind == "purchase",
            missing=missing,
        )

    async def answer(self, answer: ChannelAnswer) -> bool:
        """Approve, fail or inquire; False when somebody else has answered."""
        where = f"/requests/{quote(answer.event_id, safe='')}"
        verb, body = {
            "accepted": ("approve", {"template_id": self._template}),
            "needs_info": ("inquire", {"reason": answer.reason}),
        }.get(answer.outcome, ("fail", {"reason": answer.reason or "refused"}))
        try:
            await self._caller.call("POST", f"{where}/{verb}", json=body)
        except ChannelRefuses as refused:
            if refused.answered in (404, 409):
                return False
            raise
        return True

    async def activate(self, truth: ChannelSubscription) -> None:
        """Nothing: approving a purchase activates it."""

    async def list_all(self) -> AsyncIterator[ChannelSubscription | Unreadable]:
        """Every asset, page after page."""
        async for row in self._walk("/assets", ""):
            try:
                yield asset_of(row, self._clock.now().date())
            except ChannelDown as unreadable:
                yield Unreadable(CLOUDBLUE, f"{unreadable.detail} {str(row)[:200]}")

    async def pending(self) -> list[ChannelEvent]:
        """Requests that wait: what a lost call-back would have told."""
        now = self._clock.now()
        return [
            parse(Hook(orjson.dumps(row), {}), now)
            async for row in self._walk("/requests", "eq(status,pending)&")
        ]

    async def report_usage(self, records: list[UsageRecord]) -> list[UsageResult]:
        """One usage file: made, uploaded as a workbook, and submitted once it is read."""
        return await self.send_file("usage", "", records)

    async def send_file(
        self, name: str, product: str, records: list[UsageRecord]
    ) -> list[UsageResult]:
        """The same under a name, of one product; `Waiting` until the other side has decided."""
        asked = {"name": name} | ({"product": {"id": product}} if product else {})
        made = json_of(await self._caller.call("POST", "/usage/files", json=asked))
        file_id = str(made["id"])
        content = workbook.usage(records)
        files = {"usage_file": ("usage.xlsx", content, workbook.MEDIA_TYPE)}
        path = f"{_file(file_id)}/upload"
        told = json_of(await self._caller.call("POST", path, files=files)) or {}
        status, word, said = await self._follow(file_id, told)
        return [
            UsageResult(record=record, status=status, reference=file_id, said=said,
                        channel_status=word)
            for record in records
        ]  # fmt: skip

    async def follow_file(self, file_id: str) -> tuple[UsageStatus, str, str]:
        """How a file stands, submitted when it has become ready: status, their word, a reason."""
        return await self._follow(
            file_id, json_of(await self._caller.call("GET", _file(file_id))) or {}
        )

    async def _follow(self, file_id: str, told: dict[str, Any]) -> tuple[UsageStatus, str, str]:
        if told.get("status") == "ready":
            told = json_of(await self._caller.call("POST", f"{_file(file_id)}/submit", json={}))
        word = str((told or {}).get("status") or "")
        return FILES.get(word, UsageStatus.WAITING), word, str((told or {}).get("error") or "")

    async def close(self) -> None:
        """End the connections."""
        await self._caller.close()

    async def _walk(self, path: str, query: str) -> AsyncIterator[Any]:
        start, total = 0, 1
        while start < total:
            got = await self._caller.call("GET", f"{path}?{query}limit={PAGE}&offset={start}")
            rows = json_of(got) or []
            for row in rows:
                yield row
            told = _TOTAL.search(got.headers.get("content-range", ""))
            total = int(told[1]) if told else 0
            start += max(len(rows), 1)


def _file(file_id: str) -> str:
    return f"/usage/files/{quote(file_id, safe='')}"


def parse(hook: Hook, now: datetime) -> ChannelEvent:
    """The event of a request's body; what is not understood is kept with a fault."""
    kept: dict[str, Any] = {
        "source": CLOUDBLUE, "received_at": now, "digest": hook.digest,
        "raw": hook.body.decode("utf-8", "replace"),
    }  # fmt: skip
    try:
        told = orjson.loads(hook.body)
        kind, status = _text(told, "type"), told.get("status")
        event_id, asset = _text(told, "id"), _text(told["asset"], "id")
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as wrong:
        return ChannelEvent(
            event_id=f"body-{hook.digest[:40]}",
            external_id=f"delivery-{hook.digest[:40]}",
            kind=Kind.UNKNOWN,
            fault=f"The body is not understood: {type(wrong).__name__} {wrong}"[:300],
            **kept,
        )
    return ChannelEvent(
        event_id=event_id,
        external_id=asset,
        kind=KINDS.get(kind, Kind.UNKNOWN),
        action=kind,
        status=status[:MOST_TEXT] if isinstance(status, str) else None,
        needs_answer=True,
        **kept,
    )


def asset_of(row: Any, today: date) -> ChannelSubscription:
    """An asset as a subscription; `ChannelDown` for a row that is none."""
    try:
        params = _params(row)
        item = row["items"][0]
        status = str(row["status"])
        start = date.fromisoformat(str(row["events"]["created"]["at"])[:10])
        ended = (row["events"].get("terminated") or {}).get("at")
        unit = str(params.get("term_unit") or "P1M")
        tenant = str(params.get("tenant_id") or "").lower()
        return ChannelSubscription(
            source=CLOUDBLUE,
            external_id=_text(row, "id"),
            buyer=Buyer(tenant_ids=(tenant,) if tenant else (), customer_tenant_id=tenant or None),
            offer_id=str(row["product"]["id"]),
            plan_id=str(item["mpn"]),
            # Until it is approved the quantity of a change is only wished for.
            quantity=int(float(item["quantity"])),
            status=STATUSES.get(status, Status.PENDING),
            channel_status=status,
            start=start,
            end=term_end(start, MONTHS.get(unit, 1), today),
            term_unit=unit,
            name=str(row["product"].get("name") or "")[:200],
            ended_on=date.fromisoformat(str(ended)[:10]) if ended else None,
        )
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as wrong:
        raise ChannelDown(f"An asset is not understood: {type(wrong).__name__}.") from wrong


def term_end(start: date, months: int, today: date) -> date:
    """Last day of the rolling term that holds tomorrow."""
    number = 1
    while months_after(start, months * number) - timedelta(days=1) < today + LOOK_AHEAD:
        number += 1
    return months_after(start, months * number) - timedelta(days=1)


def _text(told: Any, name: str) -> str:
    """What names something is text: a null or a number made into text would name another thing."""
    value = told[name]
    if not isinstance(value, str) or not value.strip() or len(value) > MOST_TEXT:
        raise ValueError(f"{name!r} is not a text of 1 to {MOST_TEXT} characters")
    return value


def _whole(quantity: Any) -> int | None:
    """A quantity as Connect writes it, "40" or "40.0"; None for what is no number."""
    try:
        return int(float(quantity))
    except (TypeError, ValueError, OverflowError):
        return None


def _params(asset: Any) -> dict[str, Any]:
    return {str(each.get("id")): each.get("value") for each in asset.get("params") or ()}
