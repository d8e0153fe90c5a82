"""Who holds what, on the first of a month or today; rental agreements; reports as files."""

from datetime import date
from decimal import Decimal
from typing import Annotated

from fastapi import Depends, Path, Query, Response
from pydantic import Field, StringConstraints

from functions.api.access_models import IfMatch, Name
from functions.api.pools import scope_of
from functions.api.protection_models import PageOf
from functions.api.routing import Router
from functions.api.security import requires
from functions.api.usage import PartnerId, whole
from functions.api.usage_models import Points
from shared.access.model import Caller
from shared.billing.model import Counting
from shared.bootstrap import deps
from shared.catalogue.model import PaymentModel
from shared.kit.api_model import ApiModel, Instant
from shared.kit.errors import Unprocessable
from shared.usage import snapshots
from shared.usage.model import MONTH_PATTERN, Agreement, Commitment, CountedUsers
from shared.usage.snapshots import Held, Snapshot

router = Router(tags=["usage"])
Reader = Annotated[Caller, Depends(requires("usage.read"))]
SeatReader = Annotated[Caller, Depends(requires("licences.read"))]
Operator = Annotated[Caller, Depends(requires("pools.order"))]
Number = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z._-]+$")]
MonthText = Annotated[str, StringConstraints(pattern=MONTH_PATTERN)]
MOST_COMMITMENTS = 60


class AgreementInverted(Unprocessable):
    """The agreement ends before it begins."""

    code, title = "AGREEMENT_INVERTED", "The end is before the beginning"


class HeldOut(ApiModel):
    """One customer's seats of one pool item (RPT-04, RPT-05)."""

    customer_id: str
    slot: str
    item: str | None
    pool_id: str | None
    source: str
    payment_type: PaymentModel | None
    assigned: int
    consumed: int
    assigned_on: date | None
    expires_on: date | None = Field(description="The last usable day")

    @classmethod
    def of(cls, held: Held) -> "HeldOut":
        """As it is kept."""
        values = held.model_dump()
        return cls(payment_type=values.pop("payment_model"), **values)


class SubscriptionUsageOut(ApiModel):
    """What customers hold: as invoiced on the first of a month, or today (AMB-24)."""

    usage_month: str
    snapshot_date: date = Field(description="The first after the month; of the live picture, today")
    taken_at: Instant
    is_live: bool
    digest: str | None = Field(description="SHA-256 of the kept picture, all customers included")
    value: list[HeldOut]

    @classmethod
    def of(cls, picture: Snapshot) -> "SubscriptionUsageOut":
        """The picture as partners see it."""
        return cls(
            usage_month=picture.usage_month,
            snapshot_date=picture.snapshot_date,
            taken_at=picture.taken_at,
            is_live=not picture.digest,
            digest=picture.digest or None,
            value=[HeldOut.of(each) for each in picture.held],
        )


class CommitmentModel(ApiModel):
    """A minimum in points from a month on (USG-18)."""

    points: Points
    since: MonthText


class AgreementIn(ApiModel):
    """A rental agreement of a partner."""

    aggregator: Name
    commitments: Annotated[list[CommitmentModel], Field(max_length=MOST_COMMITMENTS)] = []
    points_per_unit: Annotated[dict[Name, Points], Field(max_length=100)] = Field(
        default={}, description="Product -> points of one unit; Flex has 2.5 of its own"
    )
    counting: Counting = Counting.PEAK
    counted_users: CountedUsers = Field(
        default=CountedUsers.PROTECTED,
        description="Retained: also users whose restore points are only kept (AMB-31)",
    )
    valid_from: date
    valid_to: date | None = None


class AgreementOut(AgreementIn):
    """A rental agreement."""

    number: str

    @classmethod
    def of(cls, agreement: Agreement) -> "AgreementOut":
        """As it is stored."""
        return cls.model_validate(agreement.model_dump())


@router.get("/subscription-usage", operation_id="subscription_usage", summary="Who holds what?")
async def subscription_usage(
    caller: SeatReader,
    on: Annotated[
        date | None, Query(alias="date", description="The first of a month; left out: today")
    ] = None,
) -> SubscriptionUsageOut:
    """On the first of a month: exactly what is invoiced, whatever was edited since (RPT-05)."""
    if on is None:
        return SubscriptionUsageOut.of(await snapshots.live(deps(), caller.scope))
    rows = await deps().usage()
    return SubscriptionUsageOut.of(await snapshots.kept(rows, caller.scope, on))


@router.get("/usage-agreements", operation_id="usage_agreements", summary="List rental agreements")
async def agreements(caller: Reader) -> PageOf[AgreementOut]:
    """Who collects the reports, and what is owed at least (USG-18)."""
    rows = await deps().usage()
    return PageOf(value=[AgreementOut.of(a) for a in await rows.agreements(whole(caller))])


@router.get(
    "/usage-agreements/{number}", operation_id="usage_agreement", summary="Read an agreement"
)
async def agreement(
    number: Number, partner_id: PartnerId, response: Response, _: Operator
) -> AgreementOut:
    """By the operator, with the ETag that a change needs; partners read theirs in the list."""
    rows = await deps().usage()
    found, response.headers["ETag"] = await rows.agreement(await scope_of(partner_id), number)
    return AgreementOut.of(found)


@router.put(
    "/usage-agreements/{number}", operation_id="usage_set_agreement", summary="Set an agreement"
)
async def set_agreement(
    number: Number,
    partner_id: PartnerId,
    body: AgreementIn,
    response: Response,
    _: Operator,
    if_match: IfMatch = None,
) -> AgreementOut:
    """By the operator: made without `If-Match`, replaced with it.

    Closed months keep what they were closed with.
    """
    if body.valid_to is not None and body.valid_to < body.valid_from:
        raise AgreementInverted("Choose a later end.", pointer="/validTo")
    scope = await scope_of(partner_id)
    values = body.model_dump(by_alias=False, exclude={"commitments"})
    kept = Agreement(
        number=number,
        commitments=tuple(
            Commitment(points=Decimal(each.points), since=each.since) for each in body.commitments
        ),
        **values,
    )
    rows = await deps().usage()
    response.headers["ETag"] = await rows.put_agreement(scope, kept, if_match)
    return AgreementOut.of(kept)
