"""Tokens of people for the Partner API, without a browser: what a sign-in would have brought.

Part of the admin side, never of the real service: it skips password, MFA and consent.
"""

from typing import Any

from local.microsoft365.ids import guid
from local.microsoft365.signin import home_tenants
from local.microsoft365.simulator import Simulator
from local.microsoft365.tokens import b64

JSON = dict[str, Any]
DELEGATED_SCOPE = "access_as_user"


class NoSuchPerson(ValueError):
    """The tenant, the person or the API is not known."""


def api_token(sim: Simulator, wanted: JSON) -> JSON:
    """The token answer for `{"tenantId", "upn", "roles"?, "clientId"?, "name"?}`.

    In a tenant of the world the person has to exist; in a tenant that only holds registrations
    (a partner's) everybody does, with an object id made from the name. `roles` are the app roles
    the person is assigned.
    """
    api = next((app for app in sim.applications.values() if app.kind == "api"), None)
    if api is None:
        raise NoSuchPerson("no API is registered")
    tenant_id, upn = str(wanted["tenantId"]).lower(), str(wanted["upn"])
    tenant = sim.find_tenant(tenant_id)
    if tenant is None and tenant_id not in home_tenants(sim):
        raise NoSuchPerson(f"no tenant {tenant_id}")
    user = tenant.find_user(upn) if tenant else None
    if tenant is not None and user is None:
        raise NoSuchPerson(f"no {upn} in {tenant_id}")
    oid = user.id if user else guid(tenant_id, upn.lower())
    client_id = str(wanted.get("clientId", api.client_id))
    claims: JSON = {
        "aud": api.client_id,
        "iss": f"{sim.issuer}/{tenant_id}/v2.0",
        "tid": tenant_id,
        "oid": oid,
        "sub": b64(guid(oid, client_id).encode()),
        "name": user.display_name if user else str(wanted.get("name", upn)),
        "preferred_username": user.upn if user else upn,
        "azp": client_id,
        "azpacr": "0",
        "scp": DELEGATED_SCOPE,
    }
    if wanted.get("roles"):
        claims["roles"] = [str(role) for role in wanted["roles"]]
    lifetime = int(sim.limits.get("signin", "tokenLifetime"))
    return {
        "token_type": "Bearer",
        "scope": f"api://{api.client_id}/{DELEGATED_SCOPE}",
        "expires_in": lifetime,
        "access_token": sim.signer.sign(claims, lifetime),
    }
