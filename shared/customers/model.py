"""A customer: who is protected, where its backups live, and where it stands (CUS-01, CUS-06)."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.access.contexts import Door, Flags, ManagementMode
from shared.access.role_model import Network


class CustomerState(StrEnum):
    """States of features.md 24.2 that this version uses."""

    PENDING = "Pending"
    ONBOARDING = "Onboarding"
    ACTIVE = "Active"
    DISCONNECTED = "Disconnected"


class ContractType(StrEnum):
    """The actual state of the contract (CUS-06); set by the process, not edited (CUS-61)."""

    PENDING = "Pending"
    MONTH_TO_MONTH = "MonthToMonth"


class Service(StrEnum):
    """A Microsoft 365 service that can be protected (ONB-41)."""

    EXCHANGE = "exchange"
    ONEDRIVE = "onedrive"
    SHAREPOINT = "sharepoint"
    TEAMS = "teams"


class LegalConfirmation(BaseModel):
    """Who confirmed when that the legal relationship is agreed (ONB-35)."""

    confirmed_by: str
    confirmed_at: datetime


class AppBinding(BaseModel):
    """Which of our registrations reach this tenant."""

    reader_client_id: str
    restorer_client_id: str
    shard: int = 0


class AdminUser(BaseModel):
    """An admin user of the customer (CUS-50): known by e-mail, after the first sign-in by id."""

    model_config = ConfigDict(frozen=True)

    admin_id: str
    email: str
    first_name: str = ""
    last_name: str = ""
    origin: Literal["primary", "provider", "customer"] = "provider"
    object_id: str | None = None
    """Object id in the customer's tenant."""
    added_at: datetime
    added_by: str = ""


class Customer(BaseModel):
    """One customer of one partner; a change is saved with the ETag it was read with."""

    model_config = ConfigDict(validate_assignment=True)

    customer_id: str
    partner_id: str
    display_name: str
    state: CustomerState = CustomerState.PENDING
    contract_type: ContractType = ContractType.PENDING
    external_id: str | None = None
    source_type: str | None = None
    """The sales channel it came through; None for one that was made here (MKT-08)."""
    country: str | None = None
    tags: list[str] = []
    management_mode: ManagementMode = "Partner"
    partner_access: bool = True
    """Whether the customer admits its partner; never under its own management (AMB-37)."""
    flags: Flags = Flags()
    """What the provider has enabled for the customer (CUS-39 to CUS-44)."""
    admins: list[AdminUser] = []
    network: Network = Network()
    """Addresses the customer's portal admits; ranges of both origins united (CUS-48)."""
    tenant_id: str | None = None
    domain: str | None = None
    region: str | None = None
    retention_years: int | None = None
    """Years backups are kept; None means without end (ONB-37)."""
    services: list[Service] = []
    repository_id: str | None = None
    legal_confirmation: LegalConfirmation | None = None
    consent: AppBinding | None = None
    onboarding_run_id: str | None = None
    """The latest onboarding run; the current one while the state is Onboarding."""
    activation_at: datetime | None = None
    left_at: datetime | None = None
    """When it was disconnected; of one that left before this was kept: None."""
    created_at: datetime
    created_by: str = ""
    updated_at: datetime
    updated_by: str = ""
    etag: str = Field(default="", exclude=True)
    """ETag of the stored row; empty before the first write."""

    @property
    def is_onboarded(self) -> bool:
        """Whether its own people may enter (CUS-53)."""
        return self.state is CustomerState.ACTIVE

    def door(self) -> Door:
        """What decides who of the partner may enter."""
        return Door(
            customer_id=self.customer_id,
            management_mode=self.management_mode,
            partner_access=self.partner_access,
            is_onboarded=self.is_onboarded,
            admins=frozenset(admin.email for admin in self.admins),
        )
