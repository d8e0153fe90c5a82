"""Consent per tenant and registration: its state, its proof, and the links that ask for it."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from pydantic import BaseModel, Field


class ConsentState(StrEnum):
    """States of marketplace-auth.md appendix B that this version uses."""

    INVITED = "invited"
    VERIFYING = "verifying"
    HEALTHY = "healthy"
    MISSING = "missing"
    """Some roles are missing: the workloads named stand still."""
    REVOKED = "revoked"
    DENIED = "denied"
    BLOCKED = "blocked"
    TENANT_GONE = "tenant_gone"


USABLE = frozenset({ConsentState.HEALTHY, ConsentState.MISSING})
"""States in which at least one workload may be read."""


class App(StrEnum):
    """Our registrations in a customer's tenant (microsoft365.md section 11)."""

    READER = "reader"
    RESTORER = "restorer"
    """Granted for the time of a restore; may be withdrawn afterwards."""


class Consented(Protocol):
    """What consent needs to know of a customer."""

    @property
    def customer_id(self) -> str:
        """The customer."""
        ...

    @property
    def tenant_id(self) -> str | None:
        """Its Microsoft 365 tenant; None before onboarding."""
        ...

    @property
    def services(self) -> Sequence[str]:
        """The services chosen for protection."""
        ...


class ConsentHealth(BaseModel):
    """What one look at the tenant's grant found; a refusal of the tenant is `revoked`."""

    state: ConsentState
    missing: list[str] = []
    """Application permissions that the manifest needs and the token lacks."""
    excess: list[str] = []
    workloads_off: list[str] = []
    """Workloads (mailbox, drive, …) that stand still because of `missing`."""
    detail: str = ""
    checked_at: datetime

    @property
    def is_usable(self) -> bool:
        """Whether at least one workload may be read."""
        return self.state in USABLE


class Consent(BaseModel):
    """The grant of one registration in one tenant, at one version of the manifest."""

    customer_id: str
    tenant_id: str
    client_id: str
    manifest_version: str
    state: ConsentState
    granted: list[str] = []
    missing: list[str] = []
    excess: list[str] = []
    workloads_off: list[str] = []
    detail: str = ""
    checked_at: datetime | None = None
    granted_at: datetime | None = None
    etag: str = Field(default="", exclude=True)


class ConsentLink(BaseModel):
    """One opaque, single-use `state` of an admin-consent link (M39, CON-03)."""

    state: str
    partner_id: str
    customer_id: str
    tenant_id: str
    client_id: str
    run_id: str
    created_by: str = ""
    expires_at: datetime
    used_at: datetime | None = None
    outcome: str | None = None
    """`accepted` or `declined`, as the call-back claimed; nothing of it is believed (M40)."""
    detail: str = ""
    etag: str = Field(default="", exclude=True)
