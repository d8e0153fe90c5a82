"""What the operator registers of channels: what plans stand for, and keys that sign documents."""

from datetime import UTC
from decimal import Decimal
from typing import Annotated

from fastapi import Depends
from pydantic import Field, StringConstraints

from functions.api.protection_models import PageOf
from functions.api.routing import Router
from functions.api.security import requires
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.catalogue.model import Channel, PaymentModel
from shared.catalogue.service import catalogue
from shared.kit.api_model import ApiModel, Instant
from shared.kit.errors import Invalid, NotFound
from shared.kit.ids import new_id
from shared.licensing.model import PaymentOption
from shared.marketplace import service
from shared.marketplace.dimensions import Dimension, Gathering, Meter
from shared.marketplace.model import CLOUDBLUE, MICROSOFT, Offer, Sale
from shared.marketplace.signed import SellerKey, readable

router = Router(tags=["orders"])
Operator = Annotated[Caller, Depends(requires("pools.order"))]
Word = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
Units = Annotated[Decimal, Field(ge=0, le=1_000_000_000, decimal_places=6)]
MOST_DIMENSIONS = 30
"""That a plan of Microsoft's marketplace can have."""
Source = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]


class DimensionModel(ApiModel):
    """A dimension of a plan: which of our meters the marketplace bills by."""

    dimension: Word = Field(description="The marketplace's id; at CloudBlue the item's mpn")
    meter: Meter
    gathering: Gathering = Field(
        default=Gathering.SUM, description="What the days of a month of the term come to"
    )
    per: Decimal = Field(
        default=Decimal(1), gt=0, le=1_000_000, decimal_places=6,
        description="Units of the meter that are one of the dimension: 30 GB days a GB month",
    )  # fmt: skip
    included: Units = Field(default=Decimal(0), description="Free units of a month of the term")
    included_per_seat: Units = Field(default=Decimal(0), description="The same for each seat")

    @classmethod
    def of(cls, dimension: Dimension) -> "DimensionModel":
        """As it is shown."""
        return cls.model_validate(dimension.model_dump())


class OfferModel(ApiModel):
    """What a plan of a channel stands for among the pools."""

    source: Source = Field(examples=[MICROSOFT])
    offer_id: Word
    plan_id: Word
    item: Word = Field(examples=["CBM-M365"])
    payment_option: PaymentOption
    seller: Word = Field(description="What pools say as their source")
    entitlements: dict[str, int | bool] = Field(default={}, max_length=20)
    dimensions: list[DimensionModel] = Field(
        default=[], max_length=MOST_DIMENSIONS, description="What is billed by use, beside the plan"
    )

    @classmethod
    def of(cls, offer: Offer) -> "OfferModel":
        """As it is shown."""
        return cls(
            source=offer.source,
            offer_id=offer.offer_id,
            plan_id=offer.plan_id,
            item=offer.sale.item,
            payment_option=offer.sale.payment_option,
            seller=offer.sale.source,
            entitlements=offer.sale.entitlements,
            dimensions=[DimensionModel.of(each) for each in offer.dimensions],
        )


class KeyIn(ApiModel):
    """A seller's public key."""

    source: Source = Field(description="Names the seller's orders for ever", examples=["contoso"])
    name: Word = Field(description="What pools say as their source, e.g. Direct")
    channel: Channel
    public_key: Annotated[str, StringConstraints(min_length=20, max_length=8000)] = Field(
        description="PEM of an Ed25519, P-256 or RSA key"
    )


class KeyOut(ApiModel):
    """A registered key."""

    id: str = Field(description="The `kid` of the tokens it signs")
    source: str
    name: str
    channel: Channel
    public_key: str
    registered_at: Instant
    revoked_at: Instant | None

    @classmethod
    def of(cls, key: SellerKey) -> "KeyOut":
        """As it is shown."""
        return cls(id=key.key_id, **{n: getattr(key, n) for n in cls.model_fields if n != "id"})


@router.get("/channel-offers", operation_id="channel_offers_list", summary="List offers")
async def list_offers(_: Operator) -> PageOf[OfferModel]:
    """Every plan that is registered."""
    return PageOf(value=[OfferModel.of(offer) for offer in await deps().orders.offers()])


@router.post("/channel-offers", operation_id="channel_offers_register", summary="Register a plan")
async def register_offer(body: OfferModel, _: Operator) -> OfferModel:
    """Or replace it. Orders of a plan that nobody has registered are parked until then."""
    sale = Sale(
        item=body.item,
        channel=Channel.MARKETPLACE,  # marketplaces sell prepaid only (MKT-03)
        source=body.seller,
        payment_model=PaymentModel.PREPAID,
        payment_option=body.payment_option,
        entitlements=dict(body.entitlements),
    )
    if body.source not in (MICROSOFT, CLOUDBLUE):
        raise Invalid("Only marketplaces have plans.", pointer="/source")
    names = [each.dimension for each in body.dimensions]
    if len(set(names)) < len(names):
        raise Invalid("Name every dimension once.", pointer="/dimensions")
    offer = Offer(
        source=body.source,
        offer_id=body.offer_id,
        plan_id=body.plan_id,
        sale=sale,
        dimensions=tuple(Dimension(**each.model_dump(by_alias=False)) for each in body.dimensions),
    )
    return OfferModel.of(await service.register_offer(deps(), catalogue(), offer))


@router.get("/channel-keys", operation_id="channel_keys_list", summary="List sellers' keys")
async def list_keys(_: Operator) -> PageOf[KeyOut]:
    """Also those that were revoked."""
    return PageOf(value=[KeyOut.of(key) for key in await deps().channels.keys.list_all()])


@router.post("/channel-keys", operation_id="channel_keys_register", summary="Register a key")
async def register_key(body: KeyIn, _: Operator) -> KeyOut:
    """Its owner may tell of orders of this channel from now on."""
    if body.source in (MICROSOFT, CLOUDBLUE):
        raise Invalid("This name is a marketplace's.", pointer="/source")
    if not readable(body.public_key):
        raise Invalid("Send a public key of Ed25519, P-256 or RSA as PEM.", pointer="/publicKey")
    key = SellerKey(
        key_id=new_id(),
        source=body.source,
        name=body.name,
        channel=body.channel,
        public_key=body.public_key,
        registered_at=deps().clock.now().astimezone(UTC),
    )
    await deps().channels.keys.save(key)
    return KeyOut.of(key)


@router.post("/channel-keys/{key_id}:revoke", operation_id="channel_keys_revoke", summary="Revoke")
async def revoke_key(key_id: str, _: Operator) -> KeyOut:
    """Nothing that it signs is believed any more; orders it told of stay."""
    key = await deps().channels.keys.find(key_id)
    if key is None:
        raise NotFound("There is no such key.")
    if key.revoked_at is None:
        key = key.model_copy(update={"revoked_at": deps().clock.now()})
        await deps().channels.keys.save(key)
    return KeyOut.of(key)
