"""Who calls: the principal, the scope of data it may touch, the partner it belongs to."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal


class Permission(StrEnum):
    """What a route may ask for."""

    CUSTOMERS_READ = "customers.read"
    CUSTOMERS_WRITE = "customers.write"
    ONBOARDING_MANAGE = "onboarding.manage"
    POLICIES_READ = "policies.read"
    POLICIES_WRITE = "policies.write"
    SESSIONS_READ = "sessions.read"
    SESSIONS_START = "sessions.start"
    OBJECTS_READ = "objects.read"
    RESTORES_READ = "restores.read"
    RESTORES_START = "restores.start"


@dataclass(frozen=True, slots=True)
class Scope:
    """What data a caller may touch: one partner, and all or some of its customers.

    Every repository takes it first and answers NotFound for anything outside.
    """

    partner_id: str
    customers: frozenset[str] | None = None
    """None means every customer of the partner."""

    def covers(self, customer_id: str) -> bool:
        """Whether the customer lies inside."""
        return self.customers is None or customer_id in self.customers


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller behind a valid token; the key is tenant + subject, never an e-mail address."""

    partner_id: str
    tenant_id: str
    subject: str
    kind: Literal["user", "application"]
    roles: frozenset[str]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Caller:
    """A principal with what it may do and see."""

    principal: Principal
    scope: Scope
    permissions: frozenset[Permission]


@dataclass(frozen=True, slots=True)
class Client:
    """An application of the partner that may call without a user."""

    client_id: str
    name: str = ""
    customers: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Partner:
    """A managed service provider: one home tenant, registered clients."""

    partner_id: str
    tenant_id: str
    name: str
    created_at: datetime
    clients: dict[str, Client] = field(default_factory=dict)
