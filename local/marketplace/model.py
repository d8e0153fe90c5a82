"""Offers, subscriptions and operations of the simulated marketplace, and how they are shown."""

import calendar
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from local.marketplace.wire import JSON, guid, iso7

MONTHS = {"P1M": 1, "P1Y": 12, "P2Y": 24, "P3Y": 36, "P4Y": 48, "P5Y": 60, "PAY": 1}
MOST_QUANTITY = 1_000_000


@dataclass
class Plan:
    """One plan of an offer."""

    plan_id: str
    term_unit: str = "P1Y"
    is_private: bool = False
    minimum: int = 1
    maximum: int = MOST_QUANTITY
    is_per_seat: bool = True

    def shown(self) -> JSON:
        """As listAvailablePlans shows it."""
        return {
            "planId": self.plan_id,
            "displayName": self.plan_id,
            "isPrivate": self.is_private,
            "minQuantity": self.minimum,
            "maxQuantity": self.maximum,
            "hasFreeTrials": False,
            "isPricePerSeat": self.is_per_seat,
            "isStopSell": False,
            "market": "DE",
            "planComponents": {"recurrentBillingTerms": [], "meteringDimensions": []},
            "sourceOffers": [{"externalId": guid()}] if self.is_private else [],
        }


@dataclass
class Person:
    """Who buys, or for whom."""

    tenant_id: str
    email: str = "admin@example.test"
    object_id: str = field(default_factory=guid)

    def shown(self) -> JSON:
        """With the members the service sends."""
        return {
            "emailId": self.email,
            "objectId": self.object_id,
            "tenantId": self.tenant_id,
            "puid": "1003",
        }


@dataclass
class Subscription:
    """One purchase."""

    id: str
    name: str
    offer_id: str
    publisher_id: str
    plan: Plan
    quantity: int | None
    beneficiary: Person
    purchaser: Person
    created: datetime
    state: str = "PendingFulfillmentStart"
    start: date | None = None
    end: date | None = None
    auto_renew: bool = True
    may: tuple[str, ...] = ("Delete", "Update", "Read")
    modified: datetime | None = None
    suspended_at: datetime | None = None
    ended_at: datetime | None = None
    shape: JSON = field(default_factory=dict)
    """Members to send instead: what other publishers have really received."""

    def shown(self) -> JSON:
        """The subscription object."""
        term: JSON = {"termUnit": self.plan.term_unit, "chargeDuration": None}
        if self.start and self.end:
            term |= {
                "startDate": f"{self.start.isoformat()}T00:00:00Z",
                "endDate": f"{self.end.isoformat()}T00:00:00Z",
            }
        shown: JSON = {
            "id": self.id,
            "name": self.name,
            "publisherId": self.publisher_id,
            "offerId": self.offer_id,
            "planId": self.plan.plan_id,
            "quantity": self.quantity,
            "beneficiary": self.beneficiary.shown(),
            "purchaser": self.purchaser.shown(),
            "term": term,
            "autoRenew": self.auto_renew,
            "isTest": False,
            "isFreeTrial": False,
            "allowedCustomerOperations": list(self.may),
            "sandboxType": "None",
            "created": iso7(self.created),
            "lastModified": iso7(self.modified or self.created),
            "sessionMode": "None",
            "saasSubscriptionStatus": self.state,
        }
        return merged(shown, self.shape)

    def begin_term(self, first: date) -> None:
        """Set the term that begins on a day; the last day is inside it."""
        self.start = first
        self.end = after(first, MONTHS.get(self.plan.term_unit, 1)) - timedelta(days=1)


@dataclass
class Operation:
    """One operation and its webhook's content."""

    id: str
    action: str
    subscription_id: str
    offer_id: str
    publisher_id: str
    plan_id: str
    quantity: int | None
    created: datetime
    status: str
    source: str = "Azure"
    activity_id: str = field(default_factory=guid)
    error: str = ""

    def shown(self) -> JSON:
        """As GET operation shows it."""
        return {
            "id": self.id,
            "activityId": self.activity_id,
            "subscriptionId": self.subscription_id,
            "offerId": self.offer_id,
            "publisherId": self.publisher_id,
            "planId": self.plan_id,
            "quantity": self.quantity,
            "action": self.action,
            "timeStamp": iso7(self.created),
            "status": self.status,
            "errorStatusCode": "",
            "errorMessage": self.error,
            "operationRequestSource": self.source,
        }


def merged(shown: JSON, changed: JSON) -> JSON:
    """Members laid over; None of a whole member stays None, a nested object is merged."""
    result = dict(shown)
    for name, value in changed.items():
        old = result.get(name)
        result[name] = (
            merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
        )
    return result


def after(day: date, months: int) -> date:
    """The same day some months later, or the last of a shorter month."""
    year, month = divmod(day.month - 1 + months, 12)
    year, month = day.year + year, month + 1
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


def plain(value: Any) -> Any:
    """A quantity as a purchase states it."""
    return int(value) if value is not None else None
