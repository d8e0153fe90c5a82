"""The signed document in which distributors and our own sales tell of an order.

A document says how the order is, whole, not what has changed. Of several the one with the highest
sequence is the truth; so documents may come twice, late or in any order. The JSON schema is
published under /order-schema.
"""

from datetime import date
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, StringConstraints, model_validator

from shared.catalogue.model import Channel, PaymentModel
from shared.kit.api_model import ApiModel, Instant
from shared.licensing.model import PaymentOption
from shared.marketplace.model import Buyer, ChannelSubscription, Sale, Status

Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$")]
MOST_SEATS = 1_000_000


class DocumentStatus(StrEnum):
    """How the order is."""

    ACTIVE = "Active"
    SUSPENDED = "Suspended"
    CANCELLED = "Cancelled"


class NewCustomer(ApiModel):
    """A customer to be made with the order (MKT-13)."""

    display_name: Name
    tenant_id: Id | None = None


class OrderDocument(ApiModel):
    """An order as the seller knows it now."""

    document_id: Id = Field(description="New for every document; the same id is the same document")
    order_id: Id
    sequence: Annotated[int, Field(ge=1, le=2**31 - 1)] = Field(
        description="Grows with every document of the order; the highest is the truth"
    )
    issued_at: Instant
    partner_tenant_id: Id = Field(description="Home tenant of the partner that bought")
    status: DocumentStatus = DocumentStatus.ACTIVE
    channel: Channel = Field(description="The channel the key is registered for")
    item: Id = Field(examples=["CBM-M365"])
    quantity: Annotated[int, Field(ge=1, le=MOST_SEATS)] | None = Field(
        default=None, description="Left out: open pay-as-you-go"
    )
    payment_type: PaymentModel = PaymentModel.PREPAID
    payment_option: PaymentOption
    contract_effective: date
    end: date = Field(description="Last day of the term, inside it")
    cancelled_on: date | None = Field(default=None, description="Last day of a cancelled order")
    name: Name | None = None
    entitlements: dict[Id, int | bool] = Field(default={}, max_length=20)
    customer: NewCustomer | None = None

    @model_validator(mode="after")
    def _fits(self) -> "OrderDocument":
        if self.end < self.contract_effective:
            raise ValueError("end lies before contractEffective")
        if (self.cancelled_on is not None) != (self.status is DocumentStatus.CANCELLED):
            raise ValueError("cancelledOn comes with the status Cancelled, and only with it")
        return self


STATUSES = {
    DocumentStatus.ACTIVE: Status.ACTIVE,
    DocumentStatus.SUSPENDED: Status.SUSPENDED,
    DocumentStatus.CANCELLED: Status.CANCELLED,
}


def schema() -> dict[str, Any]:
    """The published JSON schema."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **OrderDocument.model_json_schema(by_alias=True),
    }


def subscription_of(told: OrderDocument, source: str, name: str) -> ChannelSubscription:
    """The document as the channel's truth; `name` is what pools call the seller."""
    new = told.customer
    return ChannelSubscription(
        source=source,
        external_id=told.order_id,
        buyer=Buyer(
            tenant_ids=(told.partner_tenant_id.lower(),),
            customer_name=new.display_name if new else None,
            customer_tenant_id=new.tenant_id if new else None,
        ),
        offer_id="",
        plan_id=told.item,
        quantity=told.quantity,
        status=STATUSES[told.status],
        channel_status=str(told.status),
        start=told.contract_effective,
        end=told.end,
        name=told.name or "",
        ended_on=told.cancelled_on,
        sale=Sale(
            item=told.item,
            channel=told.channel,
            source=name,
            payment_model=told.payment_type,
            payment_option=told.payment_option,
            entitlements=dict(told.entitlements),
        ),
    )
