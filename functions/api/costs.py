"""What customers cost: counted use by a published table of prices, beside what they are billed."""

from dataclasses import asdict
from decimal import Decimal
from typing import Annotated

from fastapi import Depends, Path
from pydantic import Field

from functions.api.routing import Router
from functions.api.security import requires
from functions.api.usage_models import Month
from shared.access.model import Caller
from shared.billing.model import CostPrices
from shared.bootstrap import deps
from shared.kit.api_model import ApiModel
from shared.usage import costing
from shared.usage.costing import Cost

router = Router(tags=["billing"])
Reader = Annotated[Caller, Depends(requires("billing.read"))]
CustomerId = Annotated[str, Path(min_length=1, max_length=64)]


class CostPriceOut(ApiModel):
    """What some units of something cost."""

    per: str
    quantity: Decimal
    price: Decimal
    source: str = Field(description="Where the price is from")
    as_of: str | None = Field(description="The day of the source; null: unknown")
    verified: bool = Field(description="Whether somebody compared it with the price list")


class CostPricesOut(ApiModel):
    """The table of prices that estimates are made by."""

    name: str
    as_of: str
    currency: str
    note: str
    prices: dict[str, CostPriceOut]

    @classmethod
    def of(cls, table: CostPrices) -> "CostPricesOut":
        """As it is published."""
        return cls.model_validate(table.model_dump(mode="json"))


class CountedOut(ApiModel):
    """What the product counted."""

    sessions: int
    objects: int = Field(description="Objects worked on, summed over the sessions")
    graph_requests: int
    graph_resource_units: int
    throttled: int
    compute_s: Decimal
    stored_new_bytes: int
    stored_gb: Decimal = Field(description="Average over the measured days, GB of 10^9 bytes")
    stored_tiers_gb: dict[str, Decimal] = Field(description="The same by access tier")
    measured_days: int


class CostLineOut(ApiModel):
    """One estimated cost."""

    name: str
    per: str
    used: Decimal
    amount: Decimal


class CostOut(ApiModel):
    """An estimate by list prices; not what Azure bills."""

    month: str
    customer_id: str
    is_estimate: bool = True
    currency: str
    price_table: str
    as_of: str
    note: str
    counted: CountedOut
    lines: list[CostLineOut]
    total: Decimal
    resale: Decimal | None = Field(description="What the customer is billed; null until it is")
    resale_currency: str | None
    margin: Decimal | None = Field(description="Null where nothing is billed or currencies differ")

    @classmethod
    def of(cls, cost: Cost) -> "CostOut":
        """The estimate as partners see it."""
        return cls(
            month=cost.month,
            customer_id=cost.customer_id,
            currency=cost.prices.currency,
            price_table=cost.prices.name,
            as_of=cost.prices.as_of.isoformat(),
            note=cost.prices.note,
            counted=CountedOut(**asdict(cost.counted)),
            lines=[CostLineOut(**line.model_dump()) for line in cost.lines],
            total=cost.total,
            resale=cost.resale,
            resale_currency=cost.resale_currency or None,
            margin=cost.margin,
        )


@router.get("/cost-prices", operation_id="cost_prices", summary="Prices costs are estimated by")
async def cost_prices(_: Reader) -> CostPricesOut:
    """The operator's own, or those of the product; each says where it is from and of which day."""
    return CostPricesOut.of(costing.prices(deps().settings.cost_table))


@router.get(
    "/customers/{customer_id}/costs/{month}",
    operation_id="customer_costs",
    summary="Estimate costs",
)
async def costs(customer_id: CustomerId, month: Month, caller: Reader) -> CostOut:
    """Requests, storage and work of a month by list prices, and the margin beside it."""
    rows = await deps().usage()
    return CostOut.of(await costing.cost_of(deps(), rows, caller.scope, month, customer_id))
