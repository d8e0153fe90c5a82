"""Microsoft's commercial marketplace: SaaS fulfilment v2 (marketplace-auth.md 1).

Every word of theirs is an open string: new actions, terms and states arrive without notice.
"""

import contextlib
import hashlib
import math
from collections.abc import AsyncIterator, Callable
from datetime import date, datetime
from typing import Annotated, Any
from urllib.parse import quote

import orjson
from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from shared.kit.clock import Clock
from shared.marketplace.http import Caller, json_of
from shared.marketplace.model import (
    MICROSOFT,
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
)
from shared.marketplace.refusals import ChannelDown, ChannelRefuses, LandingInvalid
from shared.marketplace.sender import MarketplaceSender
from shared.marketplace.usage_events import event_of, result_of

VERSION = {"api-version": "2018-08-31"}
KINDS = {
    "subscribe": Kind.ORDERED, "changeplan": Kind.CHANGED, "changequantity": Kind.CHANGED,
    "renew": Kind.RENEWED, "suspend": Kind.SUSPENDED, "reinstate": Kind.RESUMED,
    "unsubscribe": Kind.CANCELLED, "transfer": Kind.TRANSFERRED,
}  # fmt: skip
ANSWERED = frozenset({"changeplan", "changequantity", "reinstate"})
STATUSES = {
    "pendingfulfillmentstart": Status.PENDING, "notstarted": Status.PENDING,
    "subscribed": Status.ACTIVE, "suspended": Status.SUSPENDED,
    "unsubscribed": Status.CANCELLED,
}  # fmt: skip
OPEN = frozenset({"inprogress", "notstarted"})
MOST_PAGES = 1000
MOST_NAME = 200
MOST_QUANTITY = 10_000_000


def lenient_int(value: object) -> int | None:
    """A quantity as it may arrive: number, digits, empty or null."""
    if value in ("", None):
        return None
    if isinstance(value, bool) or not isinstance(value, int | str | float):
        raise ValueError("a quantity is a number")  # noqa: TRY004  pydantic expects it
    number = float(value) if not isinstance(value, str) or len(value) < 20 else math.inf
    if not abs(number) <= MOST_QUANTITY:
        raise ValueError(f"a quantity is at most {MOST_QUANTITY}")
    return int(number)


REOPEN = (
    "Reopen this SaaS subscription in the Azure portal or Microsoft 365 Admin Center and select "
    "Configure Account or Manage Account."
)


class MarketplaceWebhook(BaseModel):
    """The lenient model of a webhook (marketplace-auth.md, appendix A)."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    subscription_id: Annotated[str, Field(min_length=1, max_length=200, alias="subscriptionId")]
    id: Annotated[str, Field(max_length=200)] | None = None
    action: Annotated[str, Field(max_length=200)] = Field(
        validation_alias=AliasChoices("action", "operationType")
    )
    status: Annotated[str, Field(max_length=200)] | None = None
    plan_id: Annotated[str, Field(max_length=200)] | None = Field(None, alias="planId")
    quantity: Annotated[int | None, BeforeValidator(lenient_int)] = None


class Microsoft:
    """The adapter."""

    source = MICROSOFT

    def __init__(self, sender: MarketplaceSender, caller: Caller, clock: Clock) -> None:
        self._sender, self._caller, self._clock = sender, caller, clock

    async def verify_and_parse(self, hook: Hook) -> ChannelEvent:
        """The event of a proven delivery; what is not understood is an event with a fault."""
        await self._sender.check(hook.headers.get("authorization", ""))
        return parse(hook, self._clock.now())

    async def note(self, event: ChannelEvent) -> None:
        """Nothing: the marketplace itself keeps the truth."""

    async def fetch(self, external_id: str) -> ChannelSubscription | None:
        """What the marketplace says of a subscription; None for one it does not know."""
        try:
            answer = await self._call("GET", f"/saas/subscriptions/{quote(external_id, safe='')}")
        except ChannelRefuses as refused:
            if refused.answered in (400, 404):
                return None
            raise
        return subscription_of(json_of(answer))

    async def asked(self, event: ChannelEvent) -> Asked | None:
        """The change that waits for our answer; None when there is none, or not any more."""
        where = f"/saas/subscriptions/{quote(event.external_id, safe='')}/operations"
        if not event.needs_answer:
            return None
        found: Any = None
        if event.event_id.startswith("body-"):  # the bare sample names no operation
            pending = (json_of(await self._call("GET", where)) or {}).get("operations", [])
            matching = (op for op in pending if str(op.get("action")) == event.action)
            found = next(matching, None)
        else:
            try:
                got = await self._call("GET", f"{where}/{quote(event.event_id, safe='')}")
            except ChannelRefuses as refused:
                if refused.answered in (400, 403, 404):
                    return None  # unknown, or not tracked: the subscription itself is the truth
                raise
            found = json_of(got)
        if not found or str(found.get("status")).lower() not in OPEN:
            return None
        if str(found.get("subscriptionId")) != event.external_id:
            return None
        with contextlib.suppress(ValueError):
            return Asked(
                event_id=str(found["id"]),
                external_id=event.external_id,
                action=str(found.get("action") or event.action),
                plan_id=found.get("planId"),
                quantity=lenient_int(found.get("quantity")),
            )
        return None

    async def answer(self, answer: ChannelAnswer) -> bool:
        """PATCH the operation; False when somebody else, or the ten seconds, have finished it.

        `ChannelDown` when it was refused and waits all the same: answering later is right.
        """
        where = f"/saas/subscriptions/{answer.external_id}/operations/{answer.event_id}"
        word = "Success" if answer.outcome == "accepted" else "Failure"
        try:
            await self._call("PATCH", where, json={"status": word})
        except ChannelRefuses as refused:
            if refused.answered not in (400, 404, 409):
                raise
            if await self._waits(where):
                raise ChannelDown(f"The answer was refused with {refused.answered}.") from refused
            return False
        return True

    async def _waits(self, where: str) -> bool:
        """Whether an operation is still open; one that cannot be read is not."""
        try:
            found = json_of(await self._call("GET", where)) or {}
        except ChannelRefuses as refused:
            if refused.answered in (400, 403, 404):
                return False
            raise
        return str(found.get("status")).lower() in OPEN

    async def activate(self, truth: ChannelSubscription) -> None:
        """Billing begins; being active already is fine. `ChannelRefuses` for a wrong plan."""
        body: dict[str, Any] = {"planId": truth.plan_id}
        if truth.quantity is not None:
            body["quantity"] = truth.quantity
        try:
            where = f"/saas/subscriptions/{truth.external_id}/activate"
            await self._call("POST", where, json=body)
        except ChannelRefuses:
            now = await self.fetch(truth.external_id)
            if now is None or now.status is not Status.ACTIVE:
                raise

    async def resolve(self, token: str) -> ChannelSubscription:
        """The purchase behind a landing token; `LandingInvalid` (410)."""
        # In an address a plus means a blank: tokens arrive both ways.
        header = {"x-ms-marketplace-token": token.replace(" ", "+")}
        if not (token.isascii() and token.isprintable()):  # it could not even be sent
            raise LandingInvalid(REOPEN)
        try:
            answer = await self._call("POST", "/saas/subscriptions/resolve", headers=header)
        except ChannelRefuses as refused:
            if refused.answered == 400:
                raise LandingInvalid(REOPEN) from refused
            raise
        return subscription_of((json_of(answer) or {}).get("subscription"))

    async def list_all(self) -> AsyncIterator[ChannelSubscription | Unreadable]:
        """Every subscription, page after page; a malformed row does not stop the walk."""
        path = "/saas/subscriptions"
        for _ in range(MOST_PAGES):
            answer = await self._call("GET", path) if "?" not in path else await self._page(path)
            page = json_of(answer) or {}
            for row in page.get("subscriptions") or ():
                try:
                    yield subscription_of(row)
                except ChannelDown as unreadable:
                    yield Unreadable(MICROSOFT, f"{unreadable.detail} {str(row)[:200]}")
            path = str(page.get("@nextLink") or "")
            if not path:
                return

    async def report_usage(self, records: list[UsageRecord]) -> list[UsageResult]:
        """One batch of at most 25 usage events, with what became of each."""
        sent = [event_of(record) for record in records]
        answer = await self._call("POST", "/batchUsageEvent", json={"request": sent})
        told = (json_of(answer) or {}).get("result") or []
        return [result_of(record, told) for record in records]

    async def mismatches(self, since: date) -> list[dict[str, Any]]:
        """Usage that the marketplace counts otherwise than we do."""
        query = {"usageStartDate": since.isoformat(), "reconStatus": "Mismatch"}
        answer = await self._call("GET", "/usageEvents", params=query)
        return list(json_of(answer) or [])

    async def close(self) -> None:
        """End the connections."""
        await self._caller.close()

    async def _call(self, method: str, path: str, **given: Any) -> Any:
        query = {**VERSION, **given.pop("params", {})}
        return await self._caller.call(method, path, params=query, **given)

    async def _page(self, link: str) -> Any:
        # The link is the marketplace's own and complete.
        return await self._caller.call("GET", link)


def parse(hook: Hook, now: datetime) -> ChannelEvent:
    """The event of a body; never an error: what is not understood is kept with a fault."""
    text = hook.body.decode("utf-8", "replace")
    kept: dict[str, Any] = {
        "source": MICROSOFT, "received_at": now, "digest": hook.digest, "raw": text,
    }  # fmt: skip
    try:
        told = MarketplaceWebhook.model_validate(orjson.loads(hook.body))
    except (orjson.JSONDecodeError, ValidationError, RecursionError) as wrong:
        return ChannelEvent(
            event_id=f"body-{hook.digest[:40]}",
            external_id=f"delivery-{hook.digest[:40]}",
            kind=Kind.UNKNOWN,
            fault=f"The body is not understood: {_first(wrong)}",
            **kept,
        )
    word = told.action.lower()
    return ChannelEvent(
        event_id=told.id or f"body-{hook.digest[:40]}",
        external_id=told.subscription_id,
        kind=KINDS.get(word, Kind.UNKNOWN),
        action=told.action,
        plan_id=told.plan_id,
        quantity=told.quantity,
        status=told.status,
        needs_answer=word in ANSWERED,
        **kept,
    )


def subscription_of(row: Any) -> ChannelSubscription:
    """A subscription object; `ChannelDown` for a row that is none."""
    try:
        term = row.get("term") or {}
        status = str(row.get("saasSubscriptionStatus") or "")
        people = [row.get("purchaser") or {}, row.get("beneficiary") or {}]
        tenants = [str(each["tenantId"]).lower() for each in people if each.get("tenantId")]
        ended = STATUSES.get(status.lower()) is Status.CANCELLED
        return ChannelSubscription(
            source=MICROSOFT,
            external_id=_name(row["id"]),
            buyer=Buyer(
                tenant_ids=tuple(dict.fromkeys(tenants)),
                customer_tenant_id=tenants[-1] if tenants else None,
            ),
            offer_id=str(row.get("offerId") or ""),
            plan_id=str(row.get("planId") or ""),
            quantity=lenient_int(row.get("quantity")),
            status=STATUSES.get(status.lower(), Status.PENDING),
            channel_status=status,
            start=_day(term.get("startDate")),
            end=_day(term.get("endDate")),
            term_unit=str(term.get("termUnit") or ""),
            auto_renew=bool(row.get("autoRenew", True)),
            name=str(row.get("name") or "")[:200],
            ended_on=_day(row.get("lastModified")) if ended else None,
        )
    except (AttributeError, KeyError, TypeError, ValueError) as wrong:
        raise ChannelDown(f"A subscription is not understood: {type(wrong).__name__}.") from wrong


def _name(value: object) -> str:
    """What names a subscription is text: a null made into text would name another thing."""
    if not isinstance(value, str) or not value.strip() or len(value) > MOST_NAME:
        raise ValueError(f"an id is a text of 1 to {MOST_NAME} characters")
    return value


def _day(text: object) -> date | None:
    return date.fromisoformat(str(text)[:10]) if text else None


def _first(wrong: Exception) -> str:
    if isinstance(wrong, ValidationError):
        first = wrong.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'body'}: {first['msg']}"[:300]
    return f"{type(wrong).__name__}: {wrong}"[:300]


def landing_event_id(token: str) -> str:
    """The event of a landing: one per token, whoever opens it how often."""
    return "landing-" + hashlib.sha256(token.replace(" ", "+").encode()).hexdigest()[:40]


Clocked = Callable[[], datetime]
