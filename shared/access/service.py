"""Use cases of access: who presents these credentials, register a partner."""

import functools
from collections.abc import Awaitable, Callable, Iterable
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from shared.access import api_keys, rules
from shared.access.grants import Known, UserUnknown
from shared.access.identity import PartnerIdentity, claimed_by, refused_as
from shared.access.ip_ranges import Address
from shared.access.model import Admin, Client, Partner, Principal, Scope
from shared.access.role_model import Grants, User

if TYPE_CHECKING:
    from shared.access.tokens import TokenValidator
    from shared.bootstrap import Deps


Source = Callable[[Scope], Awaitable[Known]]


@functools.cache
def _validator(authority: str, audience: str) -> "TokenValidator":
    from shared.access.tokens import TokenValidator

    return TokenValidator(authority, audience)


async def read_token(deps: "Deps", token: str) -> dict[str, Any]:
    """The claims of a good access token; `TokenInvalid` (401)."""
    return await _validator(deps.settings.authority, deps.settings.api_client_id).validate(token)


async def identify_partner(
    deps: "Deps",
    claims: dict[str, Any],
    address: Address | None,
    source: Source | None = None,
) -> PartnerIdentity | None:
    """The partner's caller behind a token's claims; None when the tenant is no partner's.

    Raises `RoleMissing`, `UserUnknown`, `ClientUnknown`, `AddressNotAllowed` (403) or
    `TokenInvalid` (401). Costs one table read. `source` is where grants come from, by default
    the book.
    """
    partner_id = await deps.partners.of_tenant(claims["tid"])
    if partner_id is None:
        return None
    with refused_as(claimed_by(claims, partner_id)):
        principal = rules.decide_principal(claims, partner_id)
        known = await (source or deps.grants.known)(Scope(partner_id))
        if principal.kind == "application":
            client, grants = known.client(principal.client_id, address)
            principal = replace(principal, name=client.name)
        else:
            known, user, grants = await _user(deps, known, principal, claims)
            name = f"{user.first_name} {user.last_name}".strip()
            principal = replace(principal, user_id=user.user_id, email=user.email, name=name)
        known.check_address(address)
    admitted, strict = rules.ceiling(principal.roles), deps.settings.users_need_site_settings
    return PartnerIdentity(principal, grants, admitted, known.closed, strict)


async def identify_key(
    deps: "Deps", text: str, address: Address | None, source: Source | None = None
) -> PartnerIdentity:
    """The API key behind its text; `KeyInvalid` (401), `AddressNotAllowed` (403)."""
    given = api_keys.parse(text)
    known = await (source or deps.grants.known)(Scope(given.partner_id))
    named = known.state.keys.get(given.key_id)
    principal = Principal(
        partner_id=given.partner_id,
        tenant_id="",
        subject=given.key_id,
        kind="key",
        roles=frozenset(),
        name=named.name if named else "",
        client_id=given.key_id,
    )
    # A partner that somebody made up gets no trail.
    with refused_as(principal) if known.state.stamp.etag else nullcontext():
        _, grants = known.key(given, deps.clock.now(), address)
        known.check_address(address)
    strict = deps.settings.users_need_site_settings
    return PartnerIdentity(principal, grants, None, known.closed, strict)


async def register_partner(
    deps: "Deps",
    tenant_id: str,
    name: str,
    clients: Iterable[Client | str] = (),
    admins: Iterable[Admin] = (),
) -> Partner:
    """Register the tenant as a partner, or add to the one it is; may be repeated."""
    return await deps.partners.register(tenant_id, name, clients, admins)


async def _user(
    deps: "Deps", known: Known, principal: Principal, claims: dict[str, Any]
) -> tuple[Known, User, Grants]:
    """The partner's user; on the first sign-in tied to the object id by the name they use."""
    tenant_id, object_id = principal.tenant_id, principal.subject
    try:
        return known, *known.user(tenant_id, object_id)
    except UserUnknown:
        scope = Scope(principal.partner_id)
        if not await deps.users.bind(scope, tenant_id, object_id, rules.sign_in_name(claims)):
            raise
    known = await deps.grants.known(scope)
    return known, *known.user(tenant_id, object_id)
