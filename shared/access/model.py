"""Who calls: the principal, the scope of data it may touch, what it may do there."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from shared.access.role_model import ActiveContext, Grants

Kind = Literal["user", "application", "key", "customerAdmin", "customerUser"]
"""A partner's user, application or API key; a customer's admin or end user."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What data a caller may touch: one partner, and all or some of its customers.

    Every repository takes it first and answers NotFound for anything outside.
    """

    partner_id: str
    customers: frozenset[str] | None = None
    """None means every customer of the partner."""
    closed: frozenset[str] = frozenset()
    """Customers who have closed the door to their partner: outside, whatever else is said."""
    owner_id: str | None = None
    """Object id of a tenant's user who sees only what is backed up of their own (CUS-39)."""

    def covers(self, customer_id: str) -> bool:
        """Whether the customer lies inside."""
        return self.sees(customer_id) and customer_id not in self.closed

    def sees(self, customer_id: str) -> bool:
        """Whether the caller may know the customer, its door open or closed."""
        return self.customers is None or customer_id in self.customers


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller behind valid credentials; the key is tenant + subject, never an e-mail address."""

    partner_id: str
    tenant_id: str
    subject: str
    kind: Kind
    roles: frozenset[str]
    """App roles in the token: a ceiling, never a grant."""
    name: str = ""
    client_id: str = ""
    """The application that called: its own, or the one the user sits in front of."""
    user_id: str = ""
    """Our id of a partner's user."""
    email: str = ""
    """Known to us from the user list; for people, never for a decision about identity."""


class Identity(Protocol):
    """Somebody who has signed in and asks for one right after the other."""

    @property
    def principal(self) -> Principal:
        """Who it is."""

    def allow(self, right: str, *, own: str | None = None) -> "Caller":
        """The caller with the scope of that right; a `Forbidden` when it is not held.

        `own` names the right that a tenant's end user needs instead, for own data only.
        """


@dataclass(frozen=True, slots=True)
class Caller:
    """A principal with what it may do and see, for one right."""

    principal: Principal
    scope: Scope
    permissions: frozenset[str]
    """Codes of the catalogue."""
    identity: Identity | None = None
    grants: Grants | None = None
    """What a partner's caller holds; None for a customer's own users and inside a context."""
    context: ActiveContext | None = None
    """The customer a partner's user acts for: the second identity of whatever happens."""

    def allow(self, right: str) -> "Caller":
        """The same caller with the scope of another right; a `Forbidden` when it is not held."""
        return self.identity.allow(right) if self.identity else self

    @property
    def holder(self) -> Grants:
        """What the caller can give away: nothing without grants of its own."""
        return self.grants or Grants()

    @property
    def acts_for_itself(self) -> bool:
        """Whether the customer's own people call: neither a partner nor one acting for it."""
        return self.principal.kind in {"customerAdmin", "customerUser"}


@dataclass(frozen=True, slots=True)
class Client:
    """An application to register with a partner: everything an application may hold."""

    client_id: str
    name: str = ""
    customers: frozenset[str] | None = None
    is_operator: bool = False
    """Whether it is the platform operator's own: it may order pools for every partner."""


@dataclass(frozen=True, slots=True)
class Admin:
    """The first person of a partner: becomes an administrator."""

    email: str
    first_name: str
    last_name: str


@dataclass(frozen=True, slots=True)
class Partner:
    """A managed service provider: one home tenant."""

    partner_id: str
    tenant_id: str
    name: str
    created_at: datetime
