"""Users, roles, customer groups, API clients and keys, contexts, and the grants they add up to."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, PrivateAttr

from shared.access.ip_ranges import IpRange, Restriction, from_json
from shared.access.permissions import CATALOGUE, SERVICES
from shared.kit.ids import new_id

ADMINISTRATOR = "administrator"
"""Id of the predefined role: everything a partner can be given, for all customers (ROL-10)."""
ADMINISTRATOR_NAME = "Administrator"
# A longer list belongs in a customer group: this one travels in one stored value.
MOST_CUSTOMERS = 1000


def _range(value: Any) -> Any:
    return from_json(value) if isinstance(value, dict) else value


def _sorted(values: frozenset[str] | None) -> list[str] | None:
    return None if values is None else sorted(values)


Range = Annotated[
    IpRange, BeforeValidator(_range), PlainSerializer(IpRange.to_json, when_used="json")
]
Codes = Annotated[frozenset[str], PlainSerializer(_sorted, when_used="json")]
Customers = Annotated[
    frozenset[str] | None, PlainSerializer(_sorted, when_used="json"), Field(default=None)
]
"""Customers something is limited to; None means all of the partner."""


class _Stored(BaseModel):
    """Stored entities carry an `etag` of their own: a batch tells no ETags of the table."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)


class Role(_Stored):
    """Permissions and the customers they are for (ROL-07, ROL-20)."""

    role_id: str
    name: str
    description: str = ""
    permissions: Codes
    group_ids: tuple[str, ...] | None = None
    """Customer groups the role is limited to; None means all customers, () means none."""
    areas: Codes = frozenset({SERVICES})
    etag: str = Field(default_factory=new_id)


class User(_Stored):
    """A person of the partner; known by e-mail until the first sign-in, by object id after."""

    user_id: str
    email: str
    first_name: str
    last_name: str
    role_ids: tuple[str, ...]
    tenant_id: str
    object_id: str | None = None
    created_at: datetime
    created_by: str = ""
    etag: str = Field(default_factory=new_id)


class CustomerGroup(_Stored):
    """A named set of customers that roles are limited to (ROL-21)."""

    group_id: str
    name: str
    customers: Codes = frozenset()
    etag: str = Field(default_factory=new_id)


class ApiClient(_Stored):
    """An application of the partner: client credentials, bound to its client id."""

    client_id: str
    name: str
    permissions: Codes
    customers: Customers
    areas: Codes = frozenset({SERVICES})
    ranges: tuple[Range, ...] = ()
    is_restricted: bool = False
    """Whether only addresses in `ranges` may call."""
    is_enabled: bool = True
    created_at: datetime
    created_by: str = ""
    etag: str = Field(default_factory=new_id)

    def restriction(self) -> Restriction:
        """From where it may call."""
        return Restriction(self.is_restricted, self.ranges)


class ApiKey(_Stored):
    """A key for tools that cannot do OAuth; the secret itself is never stored."""

    key_id: str
    name: str
    digest: str
    """SHA-256 of the secret, hex."""
    permissions: Codes
    customers: Customers
    areas: Codes = frozenset({SERVICES})
    ranges: tuple[Range, ...] = ()
    is_restricted: bool = False
    expires_at: datetime
    created_at: datetime
    created_by: str = ""
    etag: str = Field(default_factory=new_id)

    def restriction(self) -> Restriction:
        """From where it may be used."""
        return Restriction(self.is_restricted, self.ranges)


class Network(BaseModel):
    """From which addresses somebody is admitted: a switch and its ranges (CUS-46, CUS-47)."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    is_on: bool = False
    ranges: tuple[Range, ...] = ()

    def restriction(self) -> Restriction:
        """As a rule that is asked for an address."""
        return Restriction(self.is_on, self.ranges)


class PartnerProfile(_Stored):
    """What a partner says of itself: its name, and where its people call from (SET-01)."""

    display_name: str = ""
    network: Network = Network()
    etag: str = Field(default_factory=new_id)


class ClosedDoor(_Stored):
    """A customer who does not admit the partner (CUS-22): kept with the grants, asked for free."""

    customer_id: str


class ActiveContext(_Stored):
    """The one customer a user acts for at this moment (CUS-27, ACC-08)."""

    context_id: str
    user_id: str
    customer_id: str
    identity: str
    """The admin user of the customer the partner's user acts as: the second name in the audit."""
    opened_at: datetime
    expires_at: datetime


def fresh[E: BaseModel](entity: E, **changes: Any) -> E:
    """The entity with changes and an ETag of its own."""
    return entity.model_copy(update={**changes, "etag": new_id()})


class Grant(_Stored):
    """Permissions for customers (None: all) in areas: what one role, client or key gives."""

    permissions: Codes
    customers: Customers
    areas: Codes = frozenset({SERVICES})


class Grants(_Stored):
    """Everything a caller may do: the union of its grants (ROL-16)."""

    user_id: str | None = None
    is_administrator: bool = False
    grants: tuple[Grant, ...] = ()
    context: ActiveContext | None = None
    # Groups of thousands of customers are united once, not in each request.
    _answers: dict[tuple[tuple[str, ...], str], frozenset[str] | None] = PrivateAttr(
        default_factory=dict
    )

    def permissions(self, area: str = SERVICES) -> frozenset[str]:
        """Every permission held for anything in the area."""
        given = (grant.permissions for grant in self.grants if area in grant.areas)
        return frozenset[str]().union(*given)

    def areas(self) -> frozenset[str]:
        """The areas the caller sees (ROL-23, ACC-10)."""
        return frozenset[str]().union(*(grant.areas for grant in self.grants))

    def customers(self, *codes: str, area: str = SERVICES) -> frozenset[str] | None:
        """Customers for which every one of the permissions is held; None means all.

        A permission that concerns the partner itself counts for every customer; naming no
        permission gives none.
        """
        asked = (codes, area)
        if asked not in self._answers:
            self._answers[asked] = self._intersection(codes, area)
        return self._answers[asked]

    def holds(self, *codes: str, area: str = SERVICES) -> bool:
        """Whether every permission is held, for some customer at least or by name."""
        return set(codes) <= self.permissions(area)

    def _intersection(self, codes: tuple[str, ...], area: str) -> frozenset[str] | None:
        found: frozenset[str] | None = None if codes else frozenset()
        for code in codes:
            only = self._customers(code, area)
            if only is not None:
                found = only if found is None else found & only
        return found

    def _customers(self, code: str, area: str) -> frozenset[str] | None:
        """Customers one permission is held for, in any order of roles."""
        found: frozenset[str] = frozenset()
        for grant in self.grants:
            if area not in grant.areas or code not in grant.permissions:
                continue
            if grant.customers is None or not _is_per_customer(code):
                return None
            found |= grant.customers
        return found


def _is_per_customer(code: str) -> bool:
    known = CATALOGUE.get(code)
    return known is None or known.per_customer
