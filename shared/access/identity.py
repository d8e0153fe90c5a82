"""Somebody who has signed in: a partner's caller, or somebody inside one customer's environment."""

from dataclasses import dataclass, field

from shared.access import contexts
from shared.access import role_rules as rules
from shared.access.contexts import OPEN_WHEN_CLOSED, Flags
from shared.access.model import Caller, Principal, Scope
from shared.access.permissions import PermissionMissing
from shared.access.role_model import ActiveContext, Grants


@dataclass(frozen=True, slots=True)
class PartnerIdentity:
    """A partner's user, application or API key."""

    principal: Principal
    grants: Grants
    ceiling: frozenset[str] | None = None
    """Rights the token's app roles admit; None for credentials that carry none."""
    closed: frozenset[str] = frozenset()
    """Customers who have closed the door to this partner."""

    def allow(self, right: str, *, own: str | None = None) -> Caller:  # noqa: ARG002
        """The caller for one right: held, admitted by an app role, for the customers it is for."""
        _check_ceiling(self.ceiling, right)
        rules.check_right(self.grants, right)
        scope = Scope(
            self.principal.partner_id,
            rules.visible_customers(self.grants, right),
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


def _check_ceiling(ceiling: frozenset[str] | None, right: str) -> None:
    if ceiling is not None and right not in ceiling:
        raise PermissionMissing("None of the app roles in your token admits this.")
