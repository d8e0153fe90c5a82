"""What a customer costs in a month: what the product counted, by a published table of prices.

Requests to Microsoft 365 and seconds of work are counted by every session; stored bytes every
evening; write operations follow from what sessions stored, in packs of at most 32 MiB, and table
requests from the objects they worked on. It is an estimate and says so.
"""

import tomllib
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from shared.access.model import Scope
from shared.billing.model import CostLine, CostPrices
from shared.billing.refusals import CostTableInvalid
from shared.billing.rules.costing import cost_lines, margin
from shared.customers import repository as customers
from shared.kit.errors import NotFound
from shared.protection import repository as protection
from shared.protection.model import Session
from shared.usage import reselling, rules
from shared.usage.closing import month_end
from shared.usage.days import GB, Day
from shared.usage.repository import UsageRows

if TYPE_CHECKING:
    from shared.bootstrap import Deps

TABLE = Path(__file__).parents[1] / "billing" / "cost.toml"
HOT = "Hot"
COOLER = {"Cool": "storedCoolGb", "Cold": "storedColdGb", "Archive": "storedArchiveGb"}
"""Access tier -> its price; what is in none of them has the price of the hot one."""
PACK_BYTES = 32 * 1024 * 1024
WRITES_PER_SNAPSHOT = 4
"""Segments, index, record and head of a restore point, beside its packs."""
REQUESTS_PER_OBJECT = 12
"""Rows read and written for one object of one session, without those of the task hub."""
_STEP = Decimal("0.001")


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted of a customer in a month."""

    sessions: int
    objects: int
    graph_requests: int
    graph_resource_units: int
    throttled: int
    compute_s: Decimal
    stored_new_bytes: int
    stored_gb: Decimal
    """Average over the measured days."""
    stored_tiers_gb: dict[str, Decimal]
    """The same by access tier."""
    measured_days: int


@dataclass(frozen=True, slots=True)
class Cost:
    """The estimate; `margin` is None where nothing was sold, or in another currency."""

    month: str
    customer_id: str
    counted: Counted
    lines: tuple[CostLine, ...]
    total: Decimal
    prices: CostPrices
    resale: Decimal | None
    resale_currency: str
    margin: Decimal | None


@cache
def prices(own: str = "") -> CostPrices:
    """The table that is used: the operator's `own` (TOML), or the published one.

    `CostTableInvalid` for one that cannot be read, misses a price or has one nothing is counted of.
    """
    if not own:
        return CostPrices.model_validate(tomllib.loads(TABLE.read_text("utf-8")))
    try:
        found = CostPrices.model_validate(tomllib.loads(own))
    except tomllib.TOMLDecodeError as broken:
        raise CostTableInvalid("HOLDFAST_COST_TABLE is not TOML.", reasons=[str(broken)]) from None
    except ValidationError as broken:
        told = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in broken.errors()]
        raise CostTableInvalid("HOLDFAST_COST_TABLE lacks something.", reasons=told) from None
    published = prices().prices.keys()
    if wrong := sorted(found.prices.keys() ^ published):
        raise CostTableInvalid(
            f"HOLDFAST_COST_TABLE has exactly these prices: {', '.join(sorted(published))}.",
            reasons=wrong,
        )
    return found


async def cost_of(
    deps: "Deps", rows: UsageRows, scope: Scope, month: str, customer_id: str
) -> Cost:
    """Estimate a customer's month; of a running month what is known so far. `NotFound`."""
    await customers.get(deps.tables, scope, customer_id)
    first = rules.first_of(month)
    begin, end = datetime.combine(first, time(), UTC), month_end(month)
    sessions = []
    async for session in protection.list_customer_sessions(
        deps.tables, scope, customer_id, before=end
    ):
        if session.created_at < begin:
            break
        if session.created_at < end:
            sessions.append(session)
    counted = _counted(sessions, await rows.days(scope, first, customer_id))
    table = prices(deps.settings.cost_table)
    lines = cost_lines(_used(counted), table)
    total = sum((line.amount for line in lines), Decimal(0))
    resale, currency = await _resale(rows, scope, month, customer_id)
    gained = margin(total, table.currency, resale, currency)
    return Cost(month, customer_id, counted, lines, total, table, resale, currency, gained)


def _counted(sessions: list[Session], days: list[Day]) -> Counted:
    stored = [Decimal(day.stored_bytes) for day in days if day.stored_bytes is not None]
    tiers: Counter[str] = Counter()
    for day in days:
        tiers.update(day.stored_tiers or {HOT: day.stored_bytes or 0})
    return Counted(
        sessions=len(sessions),
        objects=sum(sum(session.objects.values()) for session in sessions),
        graph_requests=sum(session.graph.requests for session in sessions),
        graph_resource_units=sum(session.graph.ru for session in sessions),
        throttled=sum(session.graph.throttled for session in sessions),
        compute_s=Decimal(str(round(sum(each.compute_s for each in sessions), 3))),
        stored_new_bytes=sum(session.volume.stored for session in sessions),
        stored_gb=_average(sum(tiers.values()), len(stored)),
        stored_tiers_gb={
            tier: _average(total, len(stored)) for tier, total in sorted(tiers.items()) if total
        },
        measured_days=len(stored),
    )


def _average(total: int, days: int) -> Decimal:
    return (Decimal(total) / days / GB if days else Decimal(0)).quantize(_STEP)


def _used(counted: Counted) -> dict[str, Decimal]:
    packs = -(-counted.stored_new_bytes // PACK_BYTES)
    tiers = counted.stored_tiers_gb
    cooler = {name: tiers.get(tier, Decimal(0)) for tier, name in COOLER.items()}
    return {
        "storedGb": sum((gb for tier, gb in tiers.items() if tier not in COOLER), Decimal(0)),
        **cooler,
        "blobWrites": Decimal(packs + WRITES_PER_SNAPSHOT * counted.objects),
        "tableRequests": Decimal(REQUESTS_PER_OBJECT * counted.objects),
        "computeSeconds": counted.compute_s,
        "graphRequests": Decimal(counted.graph_requests),
    }


async def _resale(
    rows: UsageRows, scope: Scope, month: str, customer_id: str
) -> tuple[Decimal | None, str]:
    try:
        place = (await reselling.listed(rows, scope, month)).get(customer_id)
    except NotFound:  # the month is not billed (yet)
        return None, ""
    return (Decimal(place["total"]), place["currency"]) if place else (None, "")
