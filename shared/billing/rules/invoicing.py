"""A rated month as invoices of customers: lines of their own, late data of earlier months, sums."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from shared.billing.model import Adjustment, CustomerInvoice, Invoice, Line, Profile, Tier
from shared.billing.refusals import TiersUnordered

ZERO = Decimal(0)


def invoices(
    rated: Invoice,
    profile: Profile,
    names: Mapping[str, str],
    late: Iterable[Adjustment] = (),
    decimals: int = 2,
) -> tuple[CustomerInvoice, ...]:
    """One invoice per customer that has lines or late data, by customer id."""
    lines: dict[str, list[Line]] = {}
    for line in rated.lines:
        lines.setdefault(line.customer_id, []).append(line)
    adjusted: dict[str, list[Adjustment]] = {}
    for each in late:
        adjusted.setdefault(each.customer_id, []).append(each)
    zero = ZERO.scaleb(-decimals)
    return tuple(
        _invoice(
            rated, profile, customer, names.get(customer, customer), zero,
            tuple(lines.get(customer, ())), tuple(adjusted.get(customer, ())),
        )
        for customer in sorted(lines | adjusted)
    )  # fmt: skip


def _invoice(
    rated: Invoice,
    profile: Profile,
    customer: str,
    name: str,
    zero: Decimal,
    lines: tuple[Line, ...],
    late: tuple[Adjustment, ...],
) -> CustomerInvoice:
    subtotal = sum((line.amount for line in lines), zero)
    adjusted = sum((each.amount for each in late if each.currency == rated.currency), zero)
    others: dict[str, Decimal] = {}
    for each in late:
        if each.currency != rated.currency:
            others[each.currency] = others.get(each.currency, ZERO) + each.amount
    return CustomerInvoice(
        number=f"INV-{rated.month}-{customer}",
        partner_id=rated.partner_id,
        customer_id=customer,
        customer_name=name,
        month=rated.month,
        profile=profile.profile_id,
        issuer=profile.issuer,
        footer=profile.footer,
        price_book=rated.price_book,
        currency=rated.currency,
        known_at=rated.known_at,
        input_hash=rated.input_hash,
        lines=lines,
        adjustments=late,
        subtotal=subtotal,
        adjusted=adjusted,
        total=subtotal + adjusted,
        other_totals=others,
    )


def check_tiers(tiers: tuple[Tier, ...], pointer: str) -> None:
    """`TiersUnordered` unless they rise and only the last one has no end."""
    ends = [tier.up_to for tier in tiers]
    bounded = [end for end in ends[:-1] if end is not None]
    if tiers and (ends[-1] is not None or len(bounded) < len(ends) - 1):
        raise TiersUnordered("Only the last tier is without an end, and it is.", pointer=pointer)
    if bounded != sorted(set(bounded)):
        raise TiersUnordered("Each tier ends after the one before it.", pointer=pointer)
