"""Who enters a customer's environment: its own users, and partner users acting for it."""

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from shared.access import contexts
from shared.access.contexts import ContextExpired, CustomerPending
from shared.access.identity import CustomerIdentity, PartnerIdentity, refused_as
from shared.access.ip_ranges import Address, check_address
from shared.access.model import Caller, Principal, Scope
from shared.access.role_model import ActiveContext
from shared.customers import repository
from shared.customers.model import AdminUser, Customer
from shared.kit.clock import Clock
from shared.kit.errors import Forbidden
from shared.kit.tables import LostRace, Tables

if TYPE_CHECKING:
    from shared.access.grants import GrantBook

MOST_TENANTS = 10_000


class NotAdmitted(Forbidden):
    """A user of the customer's tenant who is no admin user, and self service is off (CUS-39)."""

    code, title = "USER_UNKNOWN", "You are not a user here"


class ContextForUsersOnly(Forbidden):
    """Applications and keys have customers of their own; they act for nobody."""

    code, title = "CONTEXT_FOR_USERS_ONLY", "Only a partner's user acts for a customer"


class Doors:
    """The verbs at a customer's door."""

    def __init__(self, tables: Tables, grants: "GrantBook", clock: Clock) -> None:
        self._tables, self._grants, self._clock = tables, grants, clock
        # Only a hint: the customer's own row confirms it each time.
        self._owners: OrderedDict[str, tuple[str, str]] = OrderedDict()

    async def identify(
        self, tenant_id: str, object_id: str, sign_in_name: str, address: Address | None
    ) -> CustomerIdentity | None:
        """The user of a customer's tenant; None when no customer has this tenant.

        Raises `CustomerPending` (CUS-53), `NotAdmitted` or `AddressNotAllowed` (CUS-47). An admin
        user is tied to the object id at the first sign-in.
        """
        customer = await self._of_tenant(tenant_id)
        if customer is None:
            return None
        principal = Principal(
            partner_id=customer.partner_id,
            tenant_id=tenant_id,
            subject=object_id,
            kind="customerUser",
            roles=frozenset(),
            name=sign_in_name,
            email=sign_in_name,
        )
        with refused_as(principal):
            admin = await self._admitted(customer, object_id, sign_in_name, address)
        if admin is not None:
            name = f"{admin.first_name} {admin.last_name}".strip()
            principal = replace(principal, kind="customerAdmin", name=name, email=admin.email)
        return CustomerIdentity(
            principal, customer.customer_id, customer.flags, is_admin=admin is not None
        )

    async def enter(
        self, partner: PartnerIdentity, context_id: str, address: Address | None
    ) -> CustomerIdentity:
        """The partner's user inside the context named; the door is looked at each time.

        Raises `ContextSuperseded`, `ContextExpired` (401), or why the door is closed (403).
        """
        if partner.principal.kind != "user":
            raise ContextForUsersOnly("Leave the context out.")
        current = contexts.check_current(partner.grants.context, context_id, self._clock.now())
        scope = partner.allow("contexts.open").scope
        customer = await repository.find(self._tables, scope, current.customer_id)
        if customer is None:
            raise ContextExpired("You see this customer no more.")
        contexts.check_enterable(customer.door(), partner.principal.email)
        check_address(address, [customer.network.restriction()])
        return CustomerIdentity(
            partner.principal,
            customer.customer_id,
            customer.flags,
            is_admin=True,
            context=current,
            ceiling=partner.ceiling,
        )

    async def open_context(self, caller: Caller, customer_id: str) -> ActiveContext:
        """Switch to a customer (ACC-08); the context that was open is superseded (CUS-27)."""
        if caller.principal.kind != "user":
            raise ContextForUsersOnly("Sign in as a user.")
        customer = await repository.get(self._tables, caller.scope, customer_id)
        return await self._grants.open_context(
            Scope(caller.scope.partner_id), caller.principal.user_id, customer.door()
        )

    async def close_context(self, caller: Caller) -> ActiveContext | None:
        """Switch back; the context that was closed."""
        if caller.principal.kind != "user":
            raise ContextForUsersOnly("Sign in as a user.")
        scope = Scope(caller.scope.partner_id)
        return await self._grants.close_context(scope, caller.principal.user_id)

    async def organisations(self, caller: Caller) -> Sequence[Customer]:
        """Customers the user can switch to, by name (ACC-06)."""
        customers = await repository.list_all(self._tables, caller.scope)
        doors = (customer.door() for customer in customers)
        ids = set(contexts.organisations(doors, caller.principal.email))
        found = [customer for customer in customers if customer.customer_id in ids]
        return sorted(found, key=lambda customer: customer.display_name.casefold())

    async def _of_tenant(self, tenant_id: str) -> Customer | None:
        owner = self._owners.get(tenant_id) or await repository.find_owner(self._tables, tenant_id)
        if owner is None:
            return None
        partner_id, customer_id = owner
        customer = await repository.find(self._tables, Scope(partner_id), customer_id)
        if customer is None or customer.tenant_id != tenant_id:
            self._owners.pop(tenant_id, None)
            return None
        self._owners[tenant_id] = owner
        if len(self._owners) > MOST_TENANTS:
            self._owners.popitem(last=False)
        return customer

    async def _admitted(
        self, customer: Customer, object_id: str, sign_in_name: str, address: Address | None
    ) -> AdminUser | None:
        """The admin user, or None for an end user who may enter."""
        check_address(address, [customer.network.restriction()])
        if not customer.is_onboarded:
            raise CustomerPending("Your provider has not finished the onboarding yet.")
        admin = await self._admin(customer, object_id, sign_in_name)
        if admin is None and not customer.flags.self_service:
            raise NotAdmitted("Ask your administrator to add you, or for self service.")
        return admin

    async def _admin(
        self, customer: Customer, object_id: str, sign_in_name: str
    ) -> AdminUser | None:
        for admin in customer.admins:
            if admin.object_id == object_id:
                return admin
        for place, admin in enumerate(customer.admins):
            if admin.object_id is None and admin.email == sign_in_name:
                bound = admin.model_copy(update={"object_id": object_id})
                admins = [*customer.admins[:place], bound, *customer.admins[place + 1 :]]
                scope = Scope(customer.partner_id)
                changed: dict[str, Any] = {"admins": admins}
                # After a lost race the next request ties them; this one is decided already.
                with suppress(LostRace):
                    await repository.save(self._tables, scope, customer.model_copy(update=changed))
                return bound
        return None
