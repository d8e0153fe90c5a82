"""A reseller as the partner above it knows it, and a move of seats from one to another."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class ResellerState(StrEnum):
    """Where a reseller stands."""

    INVITED = "Invited"
    ACTIVE = "Active"


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True)


class Reseller(_Stored):
    """One reseller of a partner; `partner_id` is its own, once it has accepted (RES-01)."""

    reseller_id: str
    above: str
    """The partner that invited it."""
    display_name: str
    email: str
    state: ResellerState = ResellerState.INVITED
    partner_id: str | None = None
    token_hash: str = ""
    """Of the newest invitation; an older one is of no use any more."""
    invited_at: datetime
    invited_by: str
    expires_at: datetime
    accepted_at: datetime | None = None
    etag: str = Field(default="", exclude=True)
    """ETag of the stored row; empty before the first write."""


class Above(_Stored):
    """Whose reseller a partner is: in its own partition, so that it has one above at most."""

    partner_id: str
    reseller_id: str
    etag: str = Field(default="", exclude=True)


class Move(_Stored):
    """Seats that go from one reseller to another, written down before the first step."""

    move_id: str
    actor: str
    pool_id: str
    source: str
    """Partner that gives them back."""
    target: str
    """Partner that gets them."""
    quantity: int
