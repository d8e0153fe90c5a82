"""Sign-in: the v2 token endpoint, discovery documents and keys of the simulated Entra."""

import base64
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import orjson

from local.microsoft365.apps import assertion_problem, secret_matches
from local.microsoft365.ids import guid
from local.microsoft365.roles import READER
from local.microsoft365.simulator import Simulator
from local.microsoft365.tenant import GLOBAL_ADMINISTRATOR, GRAPH_APP, Application, Tenant, User
from local.microsoft365.tokens import b64
from local.microsoft365.wire import Answer, Call, answer_json

JSON = dict[str, Any]
GRAPH_RESOURCES = frozenset({"https://graph.microsoft.com", GRAPH_APP, ""})
# The device module registers its grant here; it builds on this one.
DEVICE_GRANT: list[Callable[[Simulator, str, dict[str, str]], Answer]] = []
MULTI = frozenset({"common", "organizations", "consumers"})


class Aadsts(Exception):
    """A refusal of Entra, shown as JSON with its AADSTS code."""

    def __init__(self, code: int, text: str, error: str = "invalid_request", status: int = 400):
        super().__init__(text)
        self.code, self.text, self.error, self.status = code, text, error, status


def refusal(sim: Simulator, problem: Aadsts) -> Answer:
    """Write a refusal as Entra does."""
    trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
    when = sim.clock.now().strftime("%Y-%m-%d %H:%M:%SZ")
    body: JSON = {
        "error": problem.error,
        "error_description": f"AADSTS{problem.code}: {problem.text} Trace ID: {trace} "
        f"Correlation ID: {correlation} Timestamp: {when}",
        "error_codes": [problem.code],
        "timestamp": when,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"{sim.issuer}/error?code={problem.code}",
    }
    return answer_json(body, problem.status)


def home_tenants(sim: Simulator) -> set[str]:
    """Return the tenants that only hold registrations (partners and ourselves)."""
    return {app.home_tenant for app in sim.applications.values()} | {sim.partner_tenant}


def unknown_tenant(name: str) -> Aadsts:
    """Say that a tenant does not exist."""
    return Aadsts(
        90002,
        f"Tenant '{name}' not found. Check to make sure you have the correct tenant ID and are "
        "signing into the correct cloud.",
    )


def find_application(sim: Simulator, tenant: Tenant | None, client_id: str) -> Application | None:
    """Find an application registered outside, or created in the tenant itself."""
    app = sim.applications.get(client_id.lower())
    if app is None and tenant is not None:
        app = tenant.applications.get(client_id.lower())
    return app


async def token(sim: Simulator, tenant_name: str, call: Call) -> Answer:
    """Answer POST /{tenant}/oauth2/v2.0/token."""
    form = dict(parse_qsl((await call.read()).decode("utf-8", "replace"), keep_blank_values=True))
    sim.stats.requests["token"] += 1
    rule = sim.faults.take(call, named="token")
    try:
        if rule is not None:
            given = rule.answer
            text, error = str(given.get("message", "Scripted.")), given.get("error")
            raise Aadsts(  # noqa: TRY301  the one place that turns refusals into JSON
                int(given.get("code", 90033)),
                text,
                str(error or "invalid_client"),
                int(given.get("status", 503)),
            )
        return _token(sim, tenant_name, form, call)
    except Aadsts as problem:
        return refusal(sim, problem)


def _token(sim: Simulator, tenant_name: str, form: dict[str, str], call: Call) -> Answer:
    grant = form.get("grant_type", "")
    if grant == "client_credentials":
        return _client_credentials(sim, tenant_name, _with_basic(form, call))
    if grant in ("urn:ietf:params:oauth:grant-type:device_code", "device_code"):
        return DEVICE_GRANT[0](sim, tenant_name, form)
    if grant == "refresh_token":
        raise Aadsts(70000, "The provided grant has expired or is not valid.", "invalid_grant")
    text = "The request body must contain the following parameter: 'grant_type'."
    if grant:
        raise Aadsts(70003, f"Grant type '{grant}' is not supported.", "unsupported_grant_type")
    raise Aadsts(900144, text)


def _with_basic(form: dict[str, str], call: Call) -> dict[str, str]:
    scheme, _, value = call.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic" and "client_id" not in form:
        user, _, secret = base64.b64decode(value).decode().partition(":")
        form = {**form, "client_id": user, "client_secret": secret}
    return form


def _client_credentials(sim: Simulator, tenant_name: str, form: dict[str, str]) -> Answer:
    tenant = sim.find_tenant(tenant_name)
    tenant_id = tenant.id if tenant else tenant_name.lower()
    if tenant is None and tenant_id not in home_tenants(sim):
        raise unknown_tenant(tenant_name)
    client_id = form.get("client_id", "").lower()
    if not client_id:
        raise Aadsts(900144, "The request body must contain the following parameter: 'client_id'.")
    app = find_application(sim, tenant, client_id)
    if app is None:
        raise not_found(client_id, tenant_id)
    strength = _prove(sim, app, tenant_name, tenant_id, form)
    scope = form.get("scope", "")
    if not scope.endswith("/.default"):
        raise Aadsts(
            1002012,
            f"The provided value for scope {scope} is not valid. Client credential flows must "
            "have a scope value with /.default suffixed to the resource identifier.",
            "invalid_scope",
        )
    resource = scope.removesuffix("/.default").removeprefix("api://")
    if resource in GRAPH_RESOURCES:
        claims = _graph_claims(sim, tenant, tenant_id, app)
    else:
        claims = _api_claims(sim, tenant_id, app, resource)
    claims["azpacr"] = strength
    lifetime = int(sim.limits.get("signin", "tokenLifetime"))
    return answer_json(
        {
            "token_type": "Bearer",
            "expires_in": lifetime,
            "ext_expires_in": lifetime,
            "access_token": sim.signer.sign(claims, lifetime),
        },
        Cache_Control="no-store, no-cache",
    )


def not_found(client_id: str, tenant_id: str) -> Aadsts:
    """Say that an application is not known in a tenant."""
    return Aadsts(
        700016,
        f"Application with identifier '{client_id}' was not found in the directory '{tenant_id}'. "
        "This can happen if the application has not been installed by the administrator of the "
        "tenant or consented to by any user in the tenant.",
        "unauthorized_client",
    )


def _prove(
    sim: Simulator, app: Application, tenant_name: str, tenant_id: str, form: dict[str, str]
) -> str:
    """Check the client's credential and return its azpacr: 1 secret, 2 certificate."""
    if form.get("client_assertion"):
        audiences = {
            f"{sim.issuer}/{name}/{path}"
            for name in (tenant_name, tenant_id)
            for path in ("oauth2/v2.0/token", "v2.0")
        }
        problem = assertion_problem(app, form["client_assertion"], audiences, sim.clock.seconds())
        if problem:
            raise Aadsts(problem[0], problem[1], "invalid_client", 401)
        return "2"
    if "client_secret" not in form:
        raise Aadsts(
            7000218,
            "The request body must contain the following parameter: 'client_assertion' or "
            "'client_secret'.",
            "invalid_client",
            401,
        )
    if not secret_matches(app, form["client_secret"]):
        text = f"Invalid client secret provided for app '{app.client_id}'."
        raise Aadsts(7000215, text, "invalid_client", 401)
    return "1"


def _graph_claims(sim: Simulator, tenant: Tenant | None, tenant_id: str, app: Application) -> JSON:
    principal = tenant.principals.get(app.client_id) if tenant else None
    if tenant is None or principal is None:
        if tenant is not None and app.client_id in tenant.revoked:
            raise Aadsts(
                7000229,
                f"The client application {app.client_id} is missing service principal in the "
                f"tenant {tenant_id}.",
                "unauthorized_client",
                401,
            )
        raise not_found(app.client_id, tenant_id)
    if not principal.enabled:
        text = f"Application '{app.client_id}'({app.name}) is disabled."
        raise Aadsts(7000112, text, "unauthorized_client")
    now = sim.clock.now()
    roles = sorted(grant.role for grant in principal.grants if grant.effective <= now)
    claims = app_claims(sim, tenant_id, app, "https://graph.microsoft.com", principal.id)
    if roles:
        claims["roles"] = roles
    return claims


def _api_claims(sim: Simulator, tenant_id: str, app: Application, resource: str) -> JSON:
    api = sim.applications.get(resource.lower())
    if api is None or api.kind != "api":
        raise Aadsts(
            500011,
            f"The resource principal named {resource} was not found in the tenant {tenant_id}.",
            "invalid_resource",
        )
    if app.home_tenant != tenant_id:
        raise not_found(app.client_id, tenant_id)
    claims = app_claims(sim, tenant_id, app, api.client_id, guid(tenant_id, app.client_id))
    if app.app_roles:
        claims["roles"] = list(app.app_roles)
    return claims


def app_claims(sim: Simulator, tenant_id: str, app: Application, audience: str, oid: str) -> JSON:
    """Return the claims every application token has."""
    return {
        "aud": audience,
        "iss": f"{sim.issuer}/{tenant_id}/v2.0",
        "azp": app.client_id,
        "idtyp": "app",
        "oid": oid,
        "sub": oid,
        "tid": tenant_id,
        "rh": "0." + b64(orjson.dumps([app.client_id]))[:32],
    }


def user_tokens(
    sim: Simulator, tenant: Tenant, user: User, app: Application, scopes: list[str]
) -> JSON:
    """Return the answer of a delegated grant: access token, and id token when asked for."""
    lifetime = int(sim.limits.get("signin", "tokenLifetime"))
    named = [s.removeprefix("https://graph.microsoft.com/") for s in scopes]
    basics = {"openid", "profile", "email", "offline_access"}
    wanted = [name for name in named if name not in basics]
    if wanted == [".default"]:
        wanted = list(app.wanted_roles or READER)
    person: JSON = {
        "iss": f"{sim.issuer}/{tenant.id}/v2.0",
        "tid": tenant.id,
        "oid": user.id,
        "sub": b64(guid(user.id, app.client_id).encode()),
        "name": user.display_name,
        "preferred_username": user.upn,
    }
    if user.admin:
        person["wids"] = [GLOBAL_ADMINISTRATOR]
    access = {
        **person,
        "aud": "https://graph.microsoft.com",
        "azp": app.client_id,
        "azpacr": "0",
        "idtyp": "user",
        "scp": " ".join(wanted),
    }
    answer: JSON = {
        "token_type": "Bearer",
        "scope": " ".join(scopes),
        "expires_in": lifetime,
        "ext_expires_in": lifetime,
        "access_token": sim.signer.sign(access, lifetime),
    }
    if "openid" in named:
        answer["id_token"] = sim.signer.sign({**person, "aud": app.client_id}, lifetime)
    return answer
