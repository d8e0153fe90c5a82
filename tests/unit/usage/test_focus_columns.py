"""Columns of charges are those of FOCUS 1.0: its names, its order, all that it makes mandatory."""

from datetime import UTC, datetime
from decimal import Decimal

from shared.billing.model import Adjustment, Counting, CustomerInvoice, Line, Metric
from shared.usage.exporting import FOCUS_COLUMNS, focus_rows

MANDATORY = {
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd",
    "BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargePeriodEnd",
    "ChargePeriodStart", "ContractedCost", "EffectiveCost", "InvoiceIssuerName", "ListCost",
    "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName", "ServiceCategory",
    "ServiceName",
}  # fmt: skip
OTHERS = {
    "AvailabilityZone", "ChargeFrequency", "CommitmentDiscountCategory", "CommitmentDiscountId",
    "CommitmentDiscountName", "CommitmentDiscountStatus", "CommitmentDiscountType",
    "ConsumedQuantity", "ConsumedUnit", "ContractedUnitPrice", "ListUnitPrice", "PricingCategory",
    "RegionId", "RegionName", "ResourceId", "ResourceName", "ResourceType", "SkuId", "SkuPriceId",
    "SubAccountId", "SubAccountName", "Tags",
}  # fmt: skip
MAY_BE_NULL = {"ChargeClass", "PricingUnit", "ConsumedUnit"}
"""Of a correction; the class is empty for everything else."""


def charges() -> list[dict[str, object]]:
    """A line, and late data of the month before."""
    line = Line(
        line_id="a1", customer_id="c1", item="CMG", metric=Metric.ASSIGNED, counting=Counting.PEAK,
        counted=Decimal(3), billed=Decimal(3), steps=(), amount=Decimal(6), runs=(), rules=(),
    )  # fmt: skip
    late = Adjustment(
        line_id="b2", month="2026-02", customer_id="c1", item="CMG", billed_quantity=Decimal(3),
        right_quantity=Decimal(2), billed_amount=Decimal(6), right_amount=Decimal(4),
        amount=Decimal(-2), currency="EUR", events=(),
    )  # fmt: skip
    invoice = CustomerInvoice(
        number="1", partner_id="p1", customer_id="c1", customer_name="C", month="2026-03",
        profile="default", issuer="", footer="", price_book="s/1", currency="EUR",
        known_at=datetime(2026, 4, 1, tzinfo=UTC), input_hash="", lines=(line,),
        adjustments=(late,), subtotal=Decimal(6), adjusted=Decimal(-2), total=Decimal(4),
    )  # fmt: skip
    rows = focus_rows([invoice], "MSP")
    return [dict(zip(FOCUS_COLUMNS, row, strict=True)) for row in rows]


def test_the_names_are_of_focus_1_0_in_its_order() -> None:
    theirs = [each for each in FOCUS_COLUMNS if not each.startswith("x_")]
    assert set(theirs) - MANDATORY - OTHERS == set()
    assert MANDATORY - set(theirs) == set()
    assert theirs == sorted(theirs)
    assert len(MANDATORY | OTHERS) == 43
    assert FOCUS_COLUMNS[len(theirs) :] == ("x_LineId",)


def test_what_must_have_a_value_has_one() -> None:
    usage, correction = charges()
    assert {name for name, value in usage.items() if value in ("", None)} == {"ChargeClass"}
    empty = {name for name, value in correction.items() if value in ("", None)}
    assert empty <= MAY_BE_NULL
    assert correction["ChargeClass"] == "Correction"


def test_periods_end_on_the_first_instant_after_them() -> None:
    usage, correction = charges()
    for charge, month, after in ((usage, "2026-03", "2026-04"), (correction, "2026-02", "2026-03")):
        assert charge["ChargePeriodStart"] == f"{month}-01T00:00:00Z"
        assert charge["ChargePeriodEnd"] == f"{after}-01T00:00:00Z"
        assert charge["BillingPeriodStart"] == "2026-03-01T00:00:00Z"
        assert charge["BillingPeriodEnd"] == "2026-04-01T00:00:00Z"


def test_values_of_closed_lists_are_on_them() -> None:
    for charge in charges():
        assert charge["ChargeCategory"] in {"Usage", "Purchase", "Tax", "Credit", "Adjustment"}
        assert charge["ChargeFrequency"] in {"One-Time", "Recurring", "Usage-Based"}
        assert charge["ServiceCategory"] == "Storage"
