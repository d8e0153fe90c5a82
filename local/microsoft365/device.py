"""The device-code grant: codes, the polling client, and what the administrator decides."""

import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from local.microsoft365.signin import (
    DEVICE_GRANT,
    MULTI,
    Aadsts,
    find_application,
    not_found,
    refusal,
    unknown_tenant,
    user_tokens,
)
from local.microsoft365.simulator import Simulator
from local.microsoft365.tenant import Tenant, User
from local.microsoft365.wire import Answer, Call, answer_json

JSON = dict[str, Any]
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


@dataclass(slots=True)
class DeviceCode:
    """One pending sign-in."""

    tenant: str
    client_id: str
    scopes: list[str]
    user_code: str
    expires: float
    decision: str = "pending"
    user: User | None = None
    user_tenant: Tenant | None = None


async def start(sim: Simulator, tenant_name: str, call: Call) -> Answer:
    """Answer POST /{tenant}/oauth2/v2.0/devicecode."""
    sim.stats.requests["devicecode"] += 1
    form = dict(parse_qsl((await call.read()).decode("utf-8", "replace")))
    tenant = sim.find_tenant(tenant_name)
    if tenant is None and tenant_name not in MULTI:
        return refusal(sim, unknown_tenant(tenant_name))
    client_id = form.get("client_id", "").lower()
    app = find_application(sim, tenant, client_id)
    if app is None:
        return refusal(sim, not_found(client_id, tenant_name))
    if app.kind != "public":
        text = "The request body must contain the following parameter: 'client_assertion' or "
        return refusal(sim, Aadsts(7000218, text + "'client_secret'.", "invalid_client", 401))
    limits = sim.limits.section("signin")
    code = secrets.token_urlsafe(96)
    shown = "".join(secrets.choice(LETTERS) for _ in range(9))
    sim.devices[code] = DeviceCode(
        tenant_name,
        client_id,
        form.get("scope", "").split(),
        shown,
        sim.clock.seconds() + limits["deviceLifetime"],
    )
    page = f"{sim.issuer}/devicelogin"
    return answer_json(
        {
            "user_code": shown,
            "device_code": code,
            "verification_uri": page,
            "expires_in": limits["deviceLifetime"],
            "interval": limits["deviceInterval"],
            "message": f"To sign in, use a web browser to open the page {page} and enter the "
            f"code {shown} to authenticate.",
        }
    )


def find_code(sim: Simulator, user_code: str) -> DeviceCode | None:
    """Find a sign-in that still waits for a decision."""
    wanted = user_code.strip().upper()
    now = sim.clock.seconds()
    for code in sim.devices.values():
        if code.user_code == wanted and code.expires > now and code.decision == "pending":
            found: DeviceCode = code
            return found
    return None


def decide(sim: Simulator, user_code: str, upn: str | None) -> str:
    """Sign in with a code as a person, or decline (no person); return what happened."""
    code = find_code(sim, user_code)
    if code is None:
        return "unknown"
    if upn is None:
        code.decision = "declined"
        return "declined"
    for tenant in sim.tenants.values():
        user = tenant.find_user(upn)
        wanted = code.tenant.lower()
        if user is not None and wanted in (*MULTI, tenant.id, tenant.domain.lower()):
            code.user, code.user_tenant, code.decision = user, tenant, "approved"
            return "approved"
    return "unknown user"


def redeem(sim: Simulator, tenant_name: str, form: dict[str, str]) -> Answer:
    """Answer the token endpoint's device_code grant."""
    code: DeviceCode | None = sim.devices.get(form.get("device_code", ""))
    client_id = form.get("client_id", "").lower()
    if code is None or code.client_id != client_id or code.tenant != tenant_name:
        text = "The provided value for the input parameter 'device_code' is not valid."
        raise Aadsts(9002313, text, "bad_verification_code")
    if code.expires <= sim.clock.seconds():
        text = "The code has expired. Start a new sign-in."
        raise Aadsts(70020, text, "expired_token")
    if code.decision == "declined":
        raise Aadsts(70018, "The user declined the sign-in.", "authorization_declined")
    if code.decision == "pending" or code.user is None or code.user_tenant is None:
        text = "OAuth 2.0 device flow error. Authorization is pending. Continue polling."
        raise Aadsts(70016, text, "authorization_pending")
    app = find_application(sim, code.user_tenant, client_id)
    if app is None:
        raise not_found(client_id, code.user_tenant.id)
    del sim.devices[form["device_code"]]
    return answer_json(user_tokens(sim, code.user_tenant, code.user, app, code.scopes))


DEVICE_GRANT.append(redeem)
