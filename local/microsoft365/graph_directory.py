"""Graph: organisation, licences and users."""

from typing import Any

from local.microsoft365.clock import iso
from local.microsoft365.ids import guid
from local.microsoft365.query import comparison, page, pick, selected
from local.microsoft365.roles import FILES_READ, ORGANIZATION_READ, USERS_READ
from local.microsoft365.routes import graph
from local.microsoft365.tenant import SKU, Tenant, User
from local.microsoft365.wire import Answer, Call, Fault, answer_json

JSON = dict[str, Any]
DEFAULT_USER = frozenset(
    {
        "businessPhones", "displayName", "givenName", "id", "jobTitle", "mail", "mobilePhone",
        "officeLocation", "preferredLanguage", "surname", "userPrincipalName",
    }
)  # fmt: skip
EXCHANGE_PLAN = "efb87545-963c-4e0d-99df-69c6916d9eb0"
TEAMS_PLAN = "57ff2da0-773e-42df-b2af-ffb7a2317929"
SHAREPOINT_PLAN = "5dbe027f-2339-4123-9542-606e4d348a72"


def _organization(tenant: Tenant) -> JSON:
    return {
        "id": tenant.id,
        "displayName": tenant.display_name,
        "createdDateTime": iso(tenant.created),
        "countryLetterCode": "DE",
        "preferredLanguage": "en",
        "tenantType": "AAD",
        "verifiedDomains": [
            {
                "capabilities": "Email, OfficeCommunicationsOnline",
                "isDefault": True,
                "isInitial": True,
                "name": tenant.domain,
                "type": "Managed",
            }
        ],
        "assignedPlans": [
            {"capabilityStatus": "Enabled", "service": "exchange", "servicePlanId": EXCHANGE_PLAN},
            {
                "capabilityStatus": "Enabled",
                "service": "SharePoint",
                "servicePlanId": SHAREPOINT_PLAN,
            },
        ],
    }


@graph.add("GET", "/organization", service="identity", kind="organization",
           roles=ORGANIZATION_READ)  # fmt: skip
async def organization(call: Call) -> Answer:
    """List the one organisation."""
    things = [pick(_organization(call.tenant), selected(call))]
    return answer_json(page(call, "/organization", things, 100, "organization"))


@graph.add("GET", "/organization/{id}", service="identity", kind="organization",
           roles=ORGANIZATION_READ)  # fmt: skip
async def organization_by_id(call: Call) -> Answer:
    """Get the organisation by its tenant id."""
    if call.params["id"] != call.tenant.id:
        raise Fault(404, "Request_ResourceNotFound")
    return answer_json(pick(_organization(call.tenant), selected(call)))


@graph.add("GET", "/subscribedSkus", service="identity", kind="subscribedSkus",
           roles=ORGANIZATION_READ, cost="3")  # fmt: skip
async def subscribed_skus(call: Call) -> Answer:
    """List the subscriptions."""
    used = sum(user.licensed for user in call.tenant.users.values())
    sku = {
        "id": f"{call.tenant.id}_{SKU[0]}",
        "accountId": call.tenant.id,
        "accountName": call.tenant.display_name,
        "appliesTo": "User",
        "capabilityStatus": "Enabled",
        "consumedUnits": used,
        "prepaidUnits": {"enabled": used + 5, "suspended": 0, "warning": 0, "lockedOut": 0},
        "skuId": SKU[0],
        "skuPartNumber": SKU[1],
        "servicePlans": _plans(),
    }
    return answer_json(page(call, "/subscribedSkus", [sku], 100, "subscribedSkus"))


def _plans() -> list[JSON]:
    return [
        {
            "servicePlanId": plan,
            "servicePlanName": name,
            "provisioningStatus": "Success",
            "appliesTo": "User",
        }
        for plan, name in (
            (EXCHANGE_PLAN, "EXCHANGE_S_ENTERPRISE"),
            (SHAREPOINT_PLAN, "SHAREPOINTENTERPRISE"),
            (TEAMS_PLAN, "TEAMS1"),
        )
    ]


def user_json(user: User, wanted: frozenset[str] | None) -> JSON:
    """Return a user as Graph writes it: the short form, or what $select names."""
    given, _, surname = user.display_name.partition(" ")
    plans = [
        {
            "assignedDateTime": iso(user.created),
            "capabilityStatus": "Enabled",
            "service": service,
            "servicePlanId": plan,
        }
        for service, plan in (("exchange", EXCHANGE_PLAN), ("SharePoint", SHAREPOINT_PLAN))
    ]
    full: JSON = {
        "businessPhones": [],
        "displayName": user.display_name,
        "givenName": given,
        "jobTitle": None,
        "mail": user.upn if user.licensed else None,
        "mobilePhone": None,
        "officeLocation": None,
        "preferredLanguage": None,
        "surname": surname,
        "userPrincipalName": user.upn,
        "id": user.id,
        "accountEnabled": user.enabled,
        "assignedLicenses": [{"disabledPlans": [], "skuId": SKU[0]}] if user.licensed else [],
        "assignedPlans": plans if user.licensed else [],
        "createdDateTime": iso(user.created),
        "department": user.department,
        "mailNickname": user.upn.partition("@")[0],
        "proxyAddresses": [f"SMTP:{user.upn}"] if user.licensed else [],
        "usageLocation": "DE",
        "userType": "Member",
        "deletedDateTime": None,
        "onPremisesSyncEnabled": None,
    }
    return pick(full, wanted or DEFAULT_USER, () if wanted else ("id",))


@graph.add("GET", "/users", service="identity", kind="users", roles=USERS_READ, cost="2")
async def users(call: Call) -> Answer:
    """List users: $select, $top to 999, simple $filter, opaque nextLink."""
    found = list(call.tenant.users.values())
    if call.query.get("$filter"):
        member, operator, value = comparison(call.query["$filter"])
        if operator != "eq" or member not in ("userPrincipalName", "mail", "id", "accountEnabled"):
            raise Fault(400, "Request_UnsupportedQuery", "Unsupported or invalid query filter.")
        shown = [(user, user_json(user, frozenset({member}))[member]) for user in found]
        found = [u for u, text in shown if str(text).lower() == value.lower()]
    size = call.page_size(100, 999)
    wanted = selected(call)
    return answer_json(page(call, "/users", [user_json(u, wanted) for u in found], size, "users"))


@graph.add(
    "GET", "/users/{user}", service="identity", kind="users", roles=f"User.Read {USERS_READ}"
)
async def user_by_id(call: Call) -> Answer:
    """Get one user by id or user principal name."""
    shown = user_json(call.user, selected(call))
    return answer_json({"@odata.context": f"{call.origin}/v1.0/$metadata#users/$entity", **shown})


@graph.add(
    "GET",
    "/users/{user}/drive",
    service="sharepoint",
    kind="drive",
    roles=FILES_READ,
    cost="single",
)
async def user_drive(call: Call) -> Answer:
    """Get a user's OneDrive; a user without one has no site."""
    user = call.user
    if user.drive is None:
        raise Fault(404, "ResourceNotFound", "User's mysite not found.")
    return answer_json(pick(drive_json(call.tenant, user), selected(call)))


@graph.add("GET", "/users/{user}/drives", service="sharepoint", kind="drive", roles=FILES_READ,
           cost="list")  # fmt: skip
async def user_drives(call: Call) -> Answer:
    """List a user's drives: at most one here."""
    user = call.user
    things = [drive_json(call.tenant, user)] if user.drive else []
    return answer_json(page(call, f"/users/{user.id}/drives", things, 100, "drives"))


@graph.add(
    "GET", "/drives/{drive}", service="sharepoint", kind="drive", roles=FILES_READ, cost="single"
)
async def drive_by_id(call: Call) -> Answer:
    """Get a drive by id."""
    library = call.tenant.libraries.get(call.params["drive"])
    if library is not None:
        from local.microsoft365.graph_sites import library_json

        return answer_json(pick(library_json(library), selected(call)))
    if call.current_user is None:
        raise Fault(404, "itemNotFound", "The resource could not be found.")
    return answer_json(pick(drive_json(call.tenant, call.user), selected(call)))


def drive_json(tenant: Tenant, user: User) -> JSON:
    """Return a drive as Graph writes it."""
    if user.drive is None:
        raise Fault(404, "ResourceNotFound", "User's mysite not found.")
    host = tenant.domain.partition(".")[0]
    person = {"user": {"id": user.id, "displayName": user.display_name, "email": user.upn}}
    used = user.drive.root.size
    return {
        "id": user.drive.id,
        "name": "OneDrive",
        "driveType": "business",
        "description": "",
        "createdDateTime": iso(user.created),
        "lastModifiedDateTime": iso(user.drive.root.modified),
        "webUrl": f"https://{host}-my.sharepoint.example/personal/{guid(user.id)}/Documents",
        "owner": person,
        "createdBy": person,
        "quota": {
            "deleted": 0,
            "remaining": 1_099_511_627_776 - used,
            "state": "normal",
            "total": 1_099_511_627_776,
            "used": used,
        },
    }
