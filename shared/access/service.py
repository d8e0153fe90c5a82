"""Use cases of access: who does a token belong to, register a partner."""

import functools
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from shared.access import repository, rules
from shared.access.model import Caller, Client, Partner, Scope
from shared.kit.ids import new_id

if TYPE_CHECKING:
    from shared.access.tokens import TokenValidator
    from shared.bootstrap import Deps

# A removed client or partner is locked out after this time at the latest.
GRANTS_LIFE_SECONDS = 30.0
# Strangers with good tokens of their own tenants must not grow the cache without end.
_MOST_PARTNERS = 10_000

_partners: dict[tuple[int, str], tuple[float, Partner | None]] = {}


@functools.cache
def _validator(authority: str, audience: str) -> "TokenValidator":
    from shared.access.tokens import TokenValidator

    return TokenValidator(authority, audience)


async def authenticate(deps: "Deps", token: str) -> Caller:
    """The caller behind a bearer token, with permissions and scope.

    Raises `TokenInvalid` (401), `PartnerUnknown`, `ClientNotRegistered` or `RoleMissing` (403).
    """
    validator = _validator(deps.settings.authority, deps.settings.api_client_id)
    claims = await validator.validate(token)
    partner = await _partner_of(deps, claims["tid"])
    if partner is None:
        raise rules.PartnerUnknown("Ask us to register your tenant as a partner.")
    principal = rules.decide_principal(claims, partner)
    client = partner.clients.get(claims.get("azp", ""))
    limited = client.customers if client and principal.kind == "application" else None
    return Caller(
        principal=principal,
        scope=Scope(partner.partner_id, limited),
        permissions=rules.permissions(principal.roles),
    )


async def register_partner(
    deps: "Deps",
    tenant_id: str,
    name: str,
    clients: Iterable[Client | str] = (),
) -> Partner:
    """Register the tenant as a partner, or add clients to the one it is; may be repeated."""
    known = await repository.find_by_tenant(deps.tables, tenant_id)
    added = [Client(client) if isinstance(client, str) else client for client in clients]
    partner = Partner(
        partner_id=known.partner_id if known else new_id(),
        tenant_id=tenant_id.lower(),
        name=name,
        created_at=known.created_at if known else deps.clock.now(),
        clients=(known.clients if known else {}) | {client.client_id: client for client in added},
    )
    await repository.save(deps.tables, partner)
    _partners.clear()
    return partner


async def _partner_of(deps: "Deps", tenant_id: str) -> Partner | None:
    """The partner of a home tenant, remembered for `GRANTS_LIFE_SECONDS`."""
    key = (id(deps.tables), tenant_id)
    remembered = _partners.get(key)
    if remembered and remembered[0] > time.monotonic():
        return remembered[1]
    partner = await repository.find_by_tenant(deps.tables, tenant_id)
    if len(_partners) >= _MOST_PARTNERS:
        _partners.clear()
    _partners[key] = (time.monotonic() + GRANTS_LIFE_SECONDS, partner)
    return partner
