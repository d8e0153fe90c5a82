"""A customer: who is protected, where its backups live, and where it stands (CUS-01, CUS-06)."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class CustomerState(StrEnum):
    """States of features.md 24.2 that this version uses."""

    PENDING = "Pending"
    ONBOARDING = "Onboarding"
    ACTIVE = "Active"


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


class Customer(BaseModel):
    """One customer of one partner; a change is saved with the ETag it was read with."""

    model_config = ConfigDict(validate_assignment=True)

    customer_id: str
    partner_id: str
    display_name: str
    state: CustomerState = CustomerState.PENDING
    contract_type: ContractType = ContractType.PENDING
    external_id: str | None = None
    country: str | None = None
    tags: list[str] = []
    management_mode: Literal["Partner", "Customer"] = "Partner"
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
    created_at: datetime
    created_by: str = ""
    updated_at: datetime
    updated_by: str = ""
    etag: str = Field(default="", exclude=True)
    """ETag of the stored row; empty before the first write."""
