"""Pools: what a partner owns; orders, by which alone the operator makes and changes them."""

from datetime import date
from typing import Annotated, Any, Literal

from fastapi import Depends, Request, Response
from pydantic import Field

from functions.api import licensing
from functions.api.licence_models import AsOf, ExplainedOut, KnownAt, PoolOut, ReasonOut, What
from functions.api.paging import address
from functions.api.protection_models import PageOf
from functions.api.routing import Router
from functions.api.security import requires
from shared.access.model import Caller, Scope
from shared.bootstrap import deps
from shared.catalogue.model import Channel, PaymentModel
from shared.kit.api_model import ApiModel
from shared.licensing import passing, reading, standings, wishes
from shared.licensing.book import Book
from shared.licensing.model import PaymentOption, Standing, pool_key
from shared.licensing.refusals import ActionForbidden
from shared.licensing.repository import TABLE, Outcome
from shared.licensing.requests import Flag, Seats, Settings, Slot, Word
from shared.licensing.rules.orders import OrderChange
from shared.licensing.rules.purchases import Purchase

router = Router(tags=["licences"])
Reader = Annotated[Caller, Depends(requires("licences.read"))]
Operator = Annotated[Caller, Depends(requires("pools.order"))]


class OrderIn(ApiModel):
    """What a new order buys for a partner (LIC-03)."""

    partner_id: Word
    order_id: Word
    item: Slot = Field(examples=["CBM-M365"])
    quantity: Seats | None = Field(default=None, description="Left out: open pay-as-you-go")
    channel: Channel = Channel.DIRECT
    source: Word = "Direct"
    payment_type: PaymentModel = PaymentModel.PREPAID
    payment_option: PaymentOption = PaymentOption.ANNUAL_UPFRONT
    contract_effective: date
    start: date | None = None
    end: date
    name: Word | None = None
    entitlements: Settings = {}

    def bought(self, pool_id: str) -> Purchase:
        """The same in the words of the rules; `pool_id` is for a pool that is new."""
        return Purchase(
            pool_id=pool_id,
            order_id=self.order_id,
            item=self.item,
            quantity=self.quantity,
            channel=self.channel,
            source=self.source,
            payment_model=self.payment_type,
            payment_option=self.payment_option,
            contract_effective=self.contract_effective,
            end=self.end,
            start=self.start,
            name=self.name or "",
            entitlements=dict(self.entitlements),
        )


class OrderChangeIn(ApiModel):
    """What happened to an order of the pool (24.2 Order)."""

    partner_id: Word
    order_id: Word
    action: Literal["quantity", "renew", "cancel", "suspend", "reinstate"]
    quantity: Seats | None = None
    end: date | None = None

    def changed(self) -> OrderChange:
        """The same in the words of the rules."""
        return OrderChange(self.order_id, self.action, self.quantity, self.end)


class StandingModel(ApiModel):
    """What the operator allows a partner (RES-01, RES-06, LIC-55)."""

    licence_management_suspended: Flag = False
    tier2_enabled: Flag = False
    is_reseller: Flag = False


class PoolChangedOut(ApiModel):
    """What an order or a transfer did."""

    pool: PoolOut
    events: list[int]
    notices: list[dict[str, Any]]


@router.get("/pools", operation_id="pools_list", summary="List your pools")
async def list_all(caller: Reader, as_of: AsOf = None, known_at: KnownAt = None) -> PageOf[PoolOut]:
    """With what is left of each (LIC-01); on an earlier day with `asOf`."""
    book = await _book(caller, as_of, known_at)
    return PageOf(value=[PoolOut.of(book, book.pools[key]) for key in sorted(book.pools)])


@router.get("/pools/{pool_id}", operation_id="pools_get", summary="Read a pool")
async def get(
    pool_id: str, caller: Reader, as_of: AsOf = None, known_at: KnownAt = None
) -> PoolOut:
    """One pool."""
    book = await _book(caller, as_of, known_at)
    with licensing.placed():
        return PoolOut.of(book, book.pool(pool_id))


@router.get("/pools/{pool_id}/explain", operation_id="pools_explain", summary="Why is it so many?")
async def explain(pool_id: str, caller: Reader, what: What = "quantity") -> ExplainedOut:
    """Every event that took from the pool or gave to it: for callers who see every customer."""
    book = await _book(caller, None, None)
    with licensing.placed():
        key = pool_key(book.pool(pool_id).pool_id)
    if caller.scope.customers is not None:
        raise ActionForbidden("This concerns all customers of the partner.", rule="scope")
    found = await reading.explain(deps().ledgers, caller.scope, key, what)
    return ExplainedOut(what=what, reasons=[ReasonOut.of(each) for each in found])


@router.post("/pools", operation_id="pools_order", summary="Order a pool", status_code=201)
async def order(
    body: OrderIn, request: Request, response: Response, caller: Operator
) -> PoolChangedOut:
    """For a partner, by the operator only; it may join a pool that fits (LIC-03, MKT-11)."""
    scope = await scope_of(body.partner_id)
    command = licensing.command_of(request, caller)
    # The id is the same for every attempt under one Idempotency-Key.
    wish = wishes.purchase(body.bought(command.id))
    with licensing.placed():
        done = await licensing.perform(scope, command, wish)
    made = _changed(done, body.order_id)
    response.headers["Location"] = address(f"/pools/{made.pool.id}")
    return made


@router.post("/pools:changeOrder", operation_id="pools_change_order", summary="Change an order")
async def change_order(body: OrderChangeIn, request: Request, caller: Operator) -> PoolChangedOut:
    """More, less, renewed, cancelled, suspended: with everything that follows (LIC-47, RES-08)."""
    scope = await scope_of(body.partner_id)
    with licensing.placed():
        command = licensing.command_of(request, caller)
        done = await passing.apply_order(deps().ledgers, scope, command, body.changed())
        return _changed(done, body.order_id)


@router.post(
    "/partners/{partner_id}:setStanding",
    operation_id="partners_set_standing",
    summary="Say what a partner may",
)
async def set_standing(partner_id: str, body: StandingModel, _: Operator) -> StandingModel:
    """By the operator only (RES-01, RES-06, LIC-55)."""
    scope = await scope_of(partner_id)
    await standings.save(deps().tables[TABLE], scope, Standing(**dict(body)))
    return body


async def scope_of(partner_id: str) -> Scope:
    """The books of a partner; `NotFound` for one that is not registered."""
    scope = Scope(partner_id)
    await deps().partners.home_of(scope)
    return scope


async def _book(caller: Caller, as_of: date | None, known_at: Any) -> Book:
    """The partner's pools; also for callers who see some customers only (RES-03)."""
    whole = Scope(caller.scope.partner_id)
    if as_of or known_at:
        return await reading.as_of(deps().ledgers, whole, day=as_of, known_at=known_at)
    return (await deps().ledgers.load(whole)).book


def _changed(done: Outcome, order_id: str) -> PoolChangedOut:
    pool_id = next(key for key, pool in done.book.pools.items() if order_id in pool.orders)
    return shown(done, pool_id)


def shown(done: Outcome, pool_id: str) -> PoolChangedOut:
    """What a change of a pool did, as its owner sees it."""
    return PoolChangedOut(
        pool=PoolOut.of(done.book, done.book.pool(pool_id)),
        events=[event.seq for event in done.events],
        notices=list(done.notices),
    )
