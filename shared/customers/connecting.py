"""A customer's tenant as licences need it: what it has, and which services fit it (SVC-27, 46)."""

from datetime import datetime
from typing import TYPE_CHECKING

from shared.access.model import Caller, Scope
from shared.catalogue import rules
from shared.catalogue.model import Method, Service, TenantType
from shared.catalogue.service import catalogue
from shared.consent.model import App
from shared.consent.rules import tenant_of
from shared.customers import repository
from shared.customers.service import ask_consent
from shared.customers.tenant_licences import TenantLicences, read_details

if TYPE_CHECKING:
    from shared.bootstrap import Deps

# Tenants are connected by Microsoft 365's own consent only (AMB-22).
_CONNECTED: TenantType = "Microsoft365"
_OFFERED: Method = "consent"


async def licences_of(deps: "Deps", scope: Scope, customer_id: str) -> TenantLicences:
    """What the customer's tenant bought and assigned; `NoTenant` (409) before it is connected."""
    customer = await repository.get(deps.tables, scope, customer_id)
    return await read_details(deps, tenant_of(customer))


async def authenticate(
    deps: "Deps", caller: Caller, customer_id: str, code: str, method: Method
) -> tuple[Service, str, datetime]:
    """A link that lets a service into the customer's tenant (CON-01, SVC-46).

    `ServiceUnknown` (404), `TenantTypeMismatch`, `MethodNotAllowed` (422), `NoTenant` (409).
    """
    customer = await repository.get(deps.tables, caller.scope, customer_id)
    service = rules.service(catalogue(), code)
    tenant_of(customer)
    rules.check_method(service, method, _CONNECTED)
    if method != _OFFERED:
        raise rules.MethodNotAllowed(f"Use {_OFFERED!r} here.", rule="CON-01", pointer="/method")
    link, expires_at = await ask_consent(deps, caller, customer_id, App.READER)
    return service, link, expires_at
