"""Somebody who has signed in: a partner's caller, or somebody inside one customer's environment."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from shared.access import contexts
from shared.access import role_rules as rules
from shared.access.contexts import OPEN_WHEN_CLOSED, Flags
from shared.access.model import Caller, Principal, Scope
from shared.access.permissions import PermissionMissing
from shared.access.role_model import ActiveContext, Grants
from shared.kit.errors import HoldfastError


@dataclass(frozen=True, slots=True)
class PartnerIdentity:
    """A partner's user, application or API key."""

    principal: Principal
    grants: Grants
    ceiling: frozenset[str] | None = None
    """Rights the token's app roles admit; None for credentials that carry none."""
    closed: frozenset[str] = frozenset()
    """Customers who have closed the door to this partner."""
    settings_area: bool = True
    """Whether users and roles need Site Settings beside User Management (AMB-26)."""

    def allow(self, right: str, *, own: str | None = None) -> Caller:  # noqa: ARG002
        """The caller for one right: held, admitted by an app role, for the customers it is for."""
        _check_ceiling(self.ceiling, right)
        rules.check_right(self.grants, right, settings_area=self.settings_area)
        scope = Scope(
            self.principal.partner_id,
            rules.visible_customers(self.grants, right, settings_area=self.settings_area),
            frozenset() if right in OPEN_WHEN_CLOSED else self.closed,
        )
        held = self.grants.permissions()
        return Caller(self.principal, scope, held, self, self.grants)


@dataclass(frozen=True, slots=True)
class CustomerIdentity:
    """A user of the customer's tenant, or a partner's user acting for the customer."""

    principal: Principal
    customer_id: str
    flags: Flags = field(default_factory=Flags)
    is_admin: bool = False
    context: ActiveContext | None = None
    ceiling: frozenset[str] | None = None

    def allow(self, right: str, *, own: str | None = None) -> Caller:
        """The caller for one right inside this customer; an end user for own data only."""
        asked = own if own and not self.is_admin else right
        _check_ceiling(self.ceiling, asked)
        contexts.check_customer_right(self.flags, asked, is_admin=self.is_admin)
        owner = None if self.is_admin else self.principal.subject
        scope = Scope(self.principal.partner_id, frozenset({self.customer_id}), owner_id=owner)
        held = contexts.customer_permissions(self.flags, is_admin=self.is_admin)
        return Caller(self.principal, scope, held, self, None, self.context)


def claimed_by(claims: dict[str, Any], partner_id: str) -> Principal:
    """Who a good token names, before it is decided whether they may enter: for the trail only."""
    kind: Literal["user", "application"] = "application" if claims.get("idtyp") == "app" else "user"
    client_id = str(claims.get("azp") or "")
    return Principal(
        partner_id=partner_id,
        tenant_id=claims["tid"],
        subject=str(claims.get("oid") or ""),
        kind=kind,
        roles=frozenset(),
        name=str(claims.get("name") or client_id),
        client_id=client_id,
    )


@contextmanager
def refused_as(principal: Principal) -> Iterator[None]:
    """Whatever is refused inside names the principal: their partner's trail tells of it."""
    try:
        yield
    except HoldfastError as refused:
        refused.principal = refused.principal or principal
        raise


def _check_ceiling(ceiling: frozenset[str] | None, right: str) -> None:
    if ceiling is not None and right not in ceiling:
        raise PermissionMissing("None of the app roles in your token admits this.")
