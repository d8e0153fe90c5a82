"""Graph: applications, service principals and role assignments, as provisioning needs them."""

from datetime import timedelta
from typing import Any

from local.microsoft365.apps import certificate_of
from local.microsoft365.clock import iso
from local.microsoft365.ids import guid
from local.microsoft365.query import comparison, page, pick, selected
from local.microsoft365.roles import APPS_READ, APPS_WRITE, GRANTS_WRITE, IDS, NAMES, WORDS
from local.microsoft365.routes import graph
from local.microsoft365.signin import find_application
from local.microsoft365.tenant import (
    GLOBAL_ADMINISTRATOR,
    GRAPH_APP,
    Application,
    Grant,
    ServicePrincipal,
    Tenant,
)
from local.microsoft365.wire import Answer, Call, Fault, answer_json

JSON = dict[str, Any]
READ: dict[str, str] = {"service": "identity", "kind": "directory", "roles": APPS_READ}
WRITE: dict[str, str] = {"service": "identity", "kind": "directory.write", "roles": APPS_WRITE}
GRANT: dict[str, str] = {"service": "identity", "kind": "directory.write", "roles": GRANTS_WRITE}


def _missing(name: str) -> Fault:
    text = f"Resource '{name}' does not exist or one of its queried reference-property objects "
    return Fault(404, "Request_ResourceNotFound", text + "are not present.")


def _administrator(call: Call) -> None:
    """Refuse a signed-in person who is no administrator, whatever the token's scopes."""
    claims = call.claims
    if claims.get("idtyp") == "user" and GLOBAL_ADMINISTRATOR not in claims.get("wids", []):
        text = "Insufficient privileges to complete the operation."
        raise Fault(403, "Authorization_RequestDenied", text)


def _application_json(app: Application) -> JSON:
    return {
        "id": app.object_id or guid("application", app.client_id),
        "appId": app.client_id,
        "displayName": app.name,
        "signInAudience": "AzureADMultipleOrgs" if app.multi_tenant else "AzureADMyOrg",
        "requiredResourceAccess": app.body.get("requiredResourceAccess", []),
        "keyCredentials": app.body.get("keyCredentials", []),
        "passwordCredentials": [],
        "createdDateTime": app.body.get("createdDateTime"),
    }


def _principal_json(call: Call, principal: ServicePrincipal) -> JSON:
    return {
        "id": principal.id,
        "appId": principal.app_id,
        "displayName": principal.display_name,
        "appDisplayName": principal.display_name,
        "accountEnabled": principal.enabled,
        "servicePrincipalType": "Application",
        "appOwnerOrganizationId": call.sim.partner_tenant or call.tenant.id,
        "appRoles": [],
    }


def _graph_principal(tenant: Tenant) -> JSON:
    roles = [
        {
            "id": identity,
            "value": name,
            "displayName": WORDS.get(name, name),
            "description": WORDS.get(name, name),
            "allowedMemberTypes": ["Application"],
            "isEnabled": True,
            "origin": "Application",
        }
        for name, identity in IDS.items()
    ]
    return {
        "id": tenant.graph_principal_id(),
        "appId": GRAPH_APP,
        "displayName": "Microsoft Graph",
        "appDisplayName": "Microsoft Graph",
        "accountEnabled": True,
        "servicePrincipalType": "Application",
        "appOwnerOrganizationId": "f8cdef31-a31e-4b4a-93e4-5f571e91255a",
        "appRoles": roles,
    }


# -- applications --------------------------------------------------------------------------------


@graph.add("POST", "/applications", **WRITE)
async def create_application(call: Call) -> Answer:
    """Create an application of this tenant; its certificates can sign in at once."""
    _administrator(call)
    body = await call.json()
    name = str(body.get("displayName") or "")
    if not name:
        text = "A value is required for property 'displayName' of resource 'Application'."
        raise Fault(400, "Request_BadRequest", text)
    tenant, now = call.tenant, call.sim.clock.now()
    tenant.seq += 1
    app = Application(
        client_id=guid(tenant.id, "app", tenant.seq, now.isoformat()),
        name=name,
        kind="public" if body.get("isFallbackPublicClient") else "confidential",
        object_id=guid(tenant.id, "app object", tenant.seq, now.isoformat()),
        home_tenant=tenant.id,
        multi_tenant=body.get("signInAudience", "AzureADMyOrg") != "AzureADMyOrg",
        body={**body, "createdDateTime": iso(now)},
    )
    for access in body.get("requiredResourceAccess") or []:
        app.wanted_roles += [
            NAMES[entry["id"]]
            for entry in access.get("resourceAccess") or []
            if entry.get("id") in NAMES
        ]
    try:
        app.certificates = [certificate_of(key) for key in body.get("keyCredentials") or []]
    except ValueError as problem:
        raise Fault(400, "KeyCredentialsInvalidKey", "The key is not a certificate.") from problem
    tenant.applications[app.client_id] = app
    return answer_json(_application_json(app), 201)


def _application(call: Call) -> Application:
    name = call.params["application"]
    for app in call.tenant.applications.values():
        if name in (app.object_id, f"appId={app.client_id}"):
            return app
    raise _missing(name)


@graph.add("GET", "/applications", **READ)
async def applications(call: Call) -> Answer:
    """List the tenant's own applications; $filter on appId or displayName."""
    found = [_application_json(app) for app in call.tenant.applications.values()]
    things = [pick(one, selected(call)) for one in _filtered(call, found)]
    return answer_json(page(call, "/applications", things, 100, "applications"))


def _filtered(call: Call, found: list[JSON]) -> list[JSON]:
    if not call.query.get("$filter"):
        return found
    member, operator, value = comparison(call.query["$filter"])
    if operator != "eq" or member not in ("appId", "displayName", "id"):
        raise Fault(400, "Request_UnsupportedQuery", "Unsupported or invalid query filter.")
    return [one for one in found if str(one[member]).lower() == value.lower()]


@graph.add("GET", "/applications/{application}", **READ)
async def application(call: Call) -> Answer:
    """Get one application."""
    return answer_json(pick(_application_json(_application(call)), selected(call)))


@graph.add("DELETE", "/applications/{application}", **WRITE)
async def delete_application(call: Call) -> Answer:
    """Remove an application together with its service principal."""
    _administrator(call)
    app = _application(call)
    call.tenant.revoke(app.client_id)
    del call.tenant.applications[app.client_id]
    return Answer(204)


# -- service principals --------------------------------------------------------------------------


@graph.add("POST", "/servicePrincipals", **WRITE)
async def create_principal(call: Call) -> Answer:
    """Give an application a presence in this tenant; it becomes readable after a while."""
    _administrator(call)
    app_id = str((await call.json()).get("appId") or "").lower()
    tenant, now = call.tenant, call.sim.clock.now()
    app = find_application(call.sim, tenant, app_id)
    if app is None:
        text = f"The appId '{app_id}' of the service principal does not reference a valid "
        raise Fault(400, "Request_BadRequest", text + "application object.")
    if app_id in tenant.principals:
        text = "Another object with the same value for property servicePrincipalNames already "
        raise Fault(409, "Request_MultipleObjectsWithSameKeyValue", text + "exists.")
    delay = timedelta(seconds=float(call.sim.limits.get("signin", "servicePrincipalDelay")))
    principal = tenant.principal(app, now, now + delay)
    return answer_json(_principal_json(call, principal), 201)


def _principal(call: Call) -> ServicePrincipal | None:
    """Return the principal the path names, None for Microsoft Graph's own; raises 404."""
    tenant, name = call.tenant, call.params["principal"]
    if name in (f"appId={GRAPH_APP}", tenant.graph_principal_id()):
        return None
    for principal in tenant.principals.values():
        if name.lower() in (principal.id, f"appid={principal.app_id}"):
            if principal.visible > call.sim.clock.now():
                break
            return principal
    raise _missing(name)


def _own(call: Call) -> ServicePrincipal:
    principal = _principal(call)
    if principal is None:
        raise Fault(403, "Authorization_RequestDenied", "Microsoft's own principal stays.")
    return principal


@graph.add("GET", "/servicePrincipals", **READ)
async def principals(call: Call) -> Answer:
    """List service principals; $filter on appId or displayName."""
    tenant, now = call.tenant, call.sim.clock.now()
    found = [_principal_json(call, p) for p in tenant.principals.values() if p.visible <= now]
    things = _filtered(call, [_graph_principal(tenant), *found])
    shown = [pick(one, selected(call)) for one in things]
    return answer_json(page(call, "/servicePrincipals", shown, 100, "servicePrincipals"))


@graph.add("GET", "/servicePrincipals/{principal}", **READ)
async def principal_by_id(call: Call) -> Answer:
    """Get a service principal by object id or by appId='…'."""
    found = _principal(call)
    shown = _graph_principal(call.tenant) if found is None else _principal_json(call, found)
    return answer_json(pick(shown, selected(call)))


@graph.add("DELETE", "/servicePrincipals/{principal}", **WRITE)
async def delete_principal(call: Call) -> Answer:
    """Remove an application from this tenant."""
    _administrator(call)
    call.tenant.revoke(_own(call).app_id)
    return Answer(204)


# -- role assignments ----------------------------------------------------------------------------

ASSIGNMENTS = "/servicePrincipals/{principal}/appRoleAssignments"


def _grant_json(principal: ServicePrincipal, grant: Grant) -> JSON:
    return {
        "id": grant.id,
        "appRoleId": IDS[grant.role],
        "createdDateTime": iso(grant.created),
        "principalDisplayName": principal.display_name,
        "principalId": principal.id,
        "principalType": "ServicePrincipal",
        "resourceDisplayName": "Microsoft Graph",
        "resourceId": grant.resource,
    }


@graph.add("GET", ASSIGNMENTS, **READ)
async def assignments(call: Call) -> Answer:
    """List the roles given to a service principal."""
    principal = _own(call)
    things = [_grant_json(principal, grant) for grant in principal.grants]
    path = f"/servicePrincipals/{principal.id}/appRoleAssignments"
    return answer_json(page(call, path, things, 100, "appRoleAssignments"))


@graph.add("POST", ASSIGNMENTS, **GRANT)
@graph.add("POST", "/servicePrincipals/{principal}/appRoleAssignedTo", **GRANT)
async def assign(call: Call) -> Answer:
    """Give a role; tokens show it after the configured delay."""
    _administrator(call)
    body = await call.json()
    tenant, now = call.tenant, call.sim.clock.now()
    wanted = str(body.get("principalId") or "")
    principal = next((p for p in tenant.principals.values() if p.id == wanted), None)
    role = NAMES.get(str(body.get("appRoleId") or ""))
    if principal is None or principal.visible > now:
        raise _missing(wanted)
    if body.get("resourceId") != tenant.graph_principal_id():
        raise _missing(str(body.get("resourceId")))
    if role is None:
        text = "Permission being assigned was not found on application."
        raise Fault(400, "Request_BadRequest", text)
    if any(grant.role == role for grant in principal.grants):
        text = "Permission being assigned already exists on the object."
        raise Fault(400, "Request_BadRequest", text)
    delay = timedelta(seconds=float(call.sim.limits.get("signin", "roleDelay")))
    return answer_json(_grant_json(principal, tenant.grant(principal, role, now, now + delay)), 201)


@graph.add("DELETE", ASSIGNMENTS + "/{assignment}", **GRANT)
async def unassign(call: Call) -> Answer:
    """Take a role away."""
    _administrator(call)
    principal = _own(call)
    kept = [grant for grant in principal.grants if grant.id != call.params["assignment"]]
    if len(kept) == len(principal.grants):
        raise _missing(call.params["assignment"])
    principal.grants[:] = kept
    return Answer(204)
