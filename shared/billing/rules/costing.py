"""What counted use costs by a published table of prices: an estimate, line by line."""

from collections.abc import Mapping
from decimal import Decimal

from shared.billing.model import CostLine, CostPrices

_STEP = Decimal("0.0001")


def cost_lines(used: Mapping[str, Decimal], table: CostPrices) -> tuple[CostLine, ...]:
    """One line per price of the table, in its order; what nobody counted is zero."""
    return tuple(
        CostLine(
            name=name,
            per=price.per,
            used=used.get(name, Decimal(0)),
            amount=(used.get(name, Decimal(0)) * price.price / price.quantity).quantize(_STEP),
        )
        for name, price in table.prices.items()
    )


def margin(total: Decimal, currency: str, resale: Decimal | None, sold_in: str) -> Decimal | None:
    """Resale minus cost; None where nothing was sold or the currencies differ."""
    return resale - total if resale is not None and sold_in == currency else None
