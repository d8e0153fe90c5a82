"""Orders told in advance, and the end of an order that the partner itself asks for."""

from datetime import date
from typing import Annotated, Literal

from fastapi import Body, Depends, Request
from pydantic import Field

from functions.api import licensing
from functions.api.licence_models import PreviewOut
from functions.api.pools import OrderChangeIn, OrderIn, PoolChangedOut, scope_of, shown
from functions.api.resellers import PassingIn
from functions.api.routing import Router
from functions.api.security import requires
from shared.access.model import Caller, Scope
from shared.bootstrap import deps
from shared.kit.api_model import ApiModel
from shared.kit.ids import new_id
from shared.licensing import passing, service, wishes
from shared.licensing.model import Pool
from shared.licensing.refusals import ActionForbidden, InvalidRequest
from shared.licensing.requests import Word
from shared.licensing.rules.orders import OrderChange
from shared.licensing.service import Preview
from shared.resellers import foretelling

router = Router(tags=["licences"])
Writer = Annotated[Caller, Depends(requires("licences.write"))]
Reseller = Annotated[Caller, Depends(requires("resellers.write"))]
Operator = Annotated[Caller, Depends(requires("pools.order"))]


class OrderPreview(OrderIn):
    """A new order."""

    verb: Literal["order"]

    async def told(self, scope: Scope) -> Preview:
        """What it would do."""
        wish = wishes.purchase(self.bought(new_id()))
        return await service.preview(deps().ledgers, scope, wish)


class OrderChangePreview(OrderChangeIn):
    """A change of an order."""

    verb: Literal["changeOrder"]

    async def told(self, scope: Scope) -> Preview:
        """What it would do."""
        return await passing.foretell_order(deps().ledgers, scope, self.changed())


class PoolPreviewIn(ApiModel):
    """An order to be told in advance."""

    change: Annotated[OrderPreview | OrderChangePreview, Field(discriminator="verb")]


class CancelIn(ApiModel):
    """Which order of the pool ends, and when."""

    order_id: Word | None = Field(default=None, description="Left out while there is one")
    end: date | None = Field(default=None, description="Last day; left out: the first possible")


class TransferIn(PassingIn):
    """A transfer to be told in advance."""

    verb: Literal["passOn", "takeBack"]


@router.post("/pools:preview", operation_id="pools_preview", summary="What would an order do?")
async def preview(body: Annotated[PoolPreviewIn, Body()], _: Operator) -> PreviewOut:
    """Nothing is changed. Partners' pools that would follow are listed, each with its partner."""
    scope = await scope_of(body.change.partner_id)
    return licensing.told(await body.change.told(scope))


@router.post("/pools/{pool_id}:cancel", operation_id="pools_cancel", summary="Cancel an order")
async def cancel(pool_id: str, body: CancelIn, request: Request, caller: Writer) -> PoolChangedOut:
    """Of your own: prepaid with its term, pay-as-you-go after its month (LIC-06, LIC-26)."""
    with licensing.placed():
        change = await _cancellation(caller, pool_id, body)
        command = licensing.command_of(request, caller)
        done = await passing.apply_order(deps().ledgers, caller.scope, command, change)
    return shown(done, pool_id)


@router.post(
    "/pools/{pool_id}:previewCancel",
    operation_id="pools_preview_cancel",
    summary="What would the end of an order do?",
)
async def preview_cancel(
    pool_id: str, body: Annotated[CancelIn, Body()], caller: Writer
) -> PreviewOut:
    """Nothing is changed. Your resellers' pools that would follow are listed too."""
    with licensing.placed():
        change = await _cancellation(caller, pool_id, body)
        told = await passing.foretell_order(deps().ledgers, caller.scope, change)
    return licensing.told(told, "")


@router.post(
    "/pools/{pool_id}:previewTransfer",
    operation_id="pools_preview_transfer",
    summary="What would a transfer do?",
)
async def preview_transfer(
    pool_id: str, body: Annotated[TransferIn, Body()], caller: Reseller
) -> PreviewOut:
    """Passing on or taking back, by the books of both sides; nothing is changed."""
    with licensing.placed():
        told = await foretelling.transfer(
            deps(),
            caller.scope,
            "out" if body.verb == "passOn" else "back",
            pool_id=pool_id,
            reseller_id=body.reseller_id,
            quantity=body.quantity,
        )
    return licensing.told(told, "")


async def _cancellation(caller: Caller, pool_id: str, body: CancelIn) -> OrderChange:
    """What the partner asks for; 403 for callers limited to some customers."""
    pool = (await deps().ledgers.load(caller.scope)).book.pool(pool_id)
    if pool.parent_pool is not None:
        raise ActionForbidden("Your reseller ordered it.", rule="RES-08")
    return OrderChange(_order_of(pool, body.order_id), "cancel", end=body.end, by_partner=True)


def _order_of(pool: Pool, wanted: str | None) -> str:
    if wanted is None and len(pool.orders) == 1:
        return next(iter(pool.orders))
    if wanted is None or wanted not in pool.orders:
        detail = f"One of: {', '.join(sorted(pool.orders))}."
        raise InvalidRequest([{"pointer": "/orderId", "detail": detail}], rule="24.2 Order")
    return wanted
