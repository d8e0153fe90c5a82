"""Nobody reaches what is not theirs: every principal tries every route (SEC-20, ROL-20, ROL-22).

The routes come from the route table itself, so a new one is tried as soon as it exists; one that
takes a body needs a line in `bodies`.
"""

import re
from typing import Any

import httpx
import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts

from functions.api.app import build as build_app
from functions.api.security import CONTEXT_HEADER
from tests.api import world
from tests.api.conftest import check_problem
from tests.api.world import HIDDEN, SECRET, World

# Routes without a caller: the description of the API, and the page a consent comes back to.
PUBLIC = {
    "documents_openapi", "documents_page", "documents_asset", "consent_callback",
    "webhook_microsoft", "webhook_cloudblue", "webhook_orders", "marketplace_landing",
    "order_schema",
}  # fmt: skip
CUSTOMER_PARAMETERS = {
    "customer_id", "policy_id", "session_id", "object_id", "restore_id", "operation_id",
    "export_id", "drill_id", "repository_id", "verification_id", "erasure_id",
}  # fmt: skip
SEES_ALL = ("administrator", "daemon")
LIMITED = ("groupUser", "limitedDaemon", "key", "customerAdmin", "customerUser", "inContext")

OTHERS = ("role_id", "user_id", "client_id", "reseller_id")

OF_THE_CALLER = {"month", "number", "book_id", "profile_id"}
"""Parts of a path that every partner has for itself: nobody else's can be named with them."""

# Query parameters that a route cannot do without.
QUERIES = {
    "activity_get": {"month": "2026-01"},
    "sessions_export": {"month": "2026-01"},
    "snapshots_compare": {"since": "2"},
    "restores_statistics": {"month": "2026-01"},
    "reported_jobs_list": {"month": "2026-01"},
    "jobs_count": {"month": "2026-01"},
    "usage_accept": {"partnerId": "x" * 16},
    "usage_reject": {"partnerId": "x" * 16},
    "usage_agreement": {"partnerId": "x" * 16},
    "usage_submission": {"partnerId": "x" * 16},
    "usage_set_agreement": {"partnerId": "x" * 16},
}


def bodies(target: dict[str, str]) -> dict[str, Any]:
    """A good body for every operation that takes one, naming the target wherever it can."""
    network = {"isOn": False, "ranges": []}
    role = {"name": target["policy_id"][-8:], "permissions": [], "customerGroupIds": None}
    group = {"name": target["session_id"][-8:], "customerIds": [target["customer_id"]]}
    client = {"name": target["object_id"][-8:], "permissions": []}
    person = {"firstName": "F", "lastName": "L"}
    customers = {"customerIds": [target["customer_id"]]}
    return {
        "partners_edit_profile": {"displayName": "A", "network": network},
        "roles_create": role,
        "roles_edit": role,
        "users_add": {**person, "email": "x@a.example", "roleIds": [target["role_id"]]},
        "users_set_roles": {"userIds": [target["user_id"]], "roleIds": ["administrator"]},
        "users_edit": {**person, "roleIds": ["administrator"]},
        "customer_groups_create": group,
        "customer_groups_edit": group,
        "api_clients_register": {**client, **customers, "clientId": target["client_id"]},
        "api_clients_edit": client,
        "api_keys_create": {**client, **customers, "expiresAt": "2026-12-31T00:00:00Z"},
        "contexts_open": {"customerId": target["customer_id"]},
        "customers_create": {"displayName": "New"},
        "customers_edit": {"displayName": "Renamed"},
        "customer_admins_add": {**person, "email": "x@mine.example"},
        "customer_network_edit": network,
        "customer_admit_partner": {"isAdmitted": False},
        "onboarding_start": {
            "legalConfirmation": {"confirmed": True},
            "tenantId": target["client_id"],
            "region": "westeurope",
            "retentionYears": 1,
        },
        "consent_link": {"app": "restorer"},
        "policies_create": {"name": "P"},
        "policies_edit": {"name": "Renamed"},
        "policies_set_schedule": {"partnerId": target["policy_id"][:16], "intervalHours": 12},
        "holds_place": {"reason": "case"},
        "recovery_key_set": {"publicKey": "x"},
        "erasures_request": {"userId": "nobody", "reason": "gdpr-17"},
        "repositories_create": {"name": "R", "region": "uksouth"},
        "restores_start": {"objectId": target["object_id"], "snapshot": 1},
        "restores_preview": {"objectId": target["object_id"], "snapshot": 1},
        "exports_start": {"objectId": target["object_id"], "snapshot": 1},
        "drills_start": {"mode": "dry"},
        "contacts_set": {"contacts": [{"email": "x@x.example"}]},
        "reported_jobs_report": {
            "service": "CBS",
            "jobId": "1",
            "name": "N",
            "status": "Success",
            "startedAt": "2026-01-01T00:00:00Z",
        },
        "services_start": {"service": "CBM"},
        **licensing_bodies(target),
        **usage_bodies(target),
    }


def usage_bodies(target: dict[str, str]) -> dict[str, Any]:
    """The same for usage."""
    seats = {"kind": "changeSeats", "pool": "p", "by": 1, "on": "2026-03-01"}
    return {
        "usage_edit": {"comment": "c"},
        "usage_add_line": {"product": "P", "units": 1, "pointsPerUnit": "1"},
        "usage_reject": {"reason": "wrong"},
        "usage_simulate": {
            "month": "2026-03",
            "changes": [seats | {"customerId": target["customer_id"]}],
        },
        "usage_set_agreement": {"aggregator": "A", "validFrom": "2026-01-01"},
        "price_book_add_version": {
            "name": "B",
            "currency": "EUR",
            "validFrom": "2026-01",
            "prices": {"Flex": {"unitPrice": "2"}},
        },
        "billing_set_profile": {"name": "D", "bookId": "missing"},
        "customer_set_billing": {"recipients": ["x@x.example"]},
        "billing_simulate": {
            "month": "2026-03",
            "priceBook": "missing",
            "changes": [seats | {"customerId": target["customer_id"]}],
        },
    }


def licensing_bodies(target: dict[str, str]) -> dict[str, Any]:
    """The same for licences."""
    partner = {"partnerId": target["policy_id"][:16]}
    days = {"contractEffective": "2026-01-01", "end": "2036-12-31"}
    seats = {"quantity": 1}
    customer = target["customer_id"]
    consumed = {"verb": "noteConsumption", "subscriptionId": "CBM-M365", "consumed": 1}
    suspend = {"verb": "changeOrder", **partner, "orderId": "o", "action": "suspend"}
    reseller = {"displayName": "R", "email": "r@r.example"}
    own = target["reseller_id"]
    verb = {"verb": "expire", "subscriptionId": "CBM-M365"}
    return {
        "pools_order": {**partner, **days, "orderId": "o", "item": "CBM-M365"},
        "pools_change_order": {**partner, "orderId": "o", "action": "suspend"},
        "resellers_invite": reseller,
        "resellers_edit": reseller,
        "reseller_invitations_accept": {"token": f"hfr.{target['policy_id'][:16]}.{own}.x"},
        "pools_pass_on": {"resellerId": own, **seats},
        "pools_take_back": {"resellerId": own, **seats},
        "pools_move": {"fromResellerId": own, "toResellerId": own, **seats},
        "pools_preview": {"change": suspend},
        "licence_adjustment_approve": {},
        "pools_cancel": {},
        "pools_preview_transfer": {"verb": "passOn", "resellerId": own, **seats},
        "pools_preview_cancel": {},
        "licences_intervene": {**partner, "customerId": customer, "change": consumed},
        "licences_preview_intervention": {**partner, "customerId": customer, "change": consumed},
        "customers_disconnect": {"confirmed": True},
        "partners_set_standing": {"tier2Enabled": True},
        "orders_claim": {"token": "t"},
        "orders_bind": partner,
        "channel_offers_register": {
            "source": "microsoft",
            "offerId": "o",
            "planId": "p",
            "item": "CBM-M365",
            "paymentOption": "Monthly",
            "seller": "Microsoft",
        },
        "channel_keys_register": {
            "source": "contoso",
            "name": "Contoso",
            "channel": "Direct",
            "publicKey": "x" * 20,
        },
        "subscriptions_assign": {"slot": "CBM-M365", "type": "Trial"},
        "subscriptions_edit": {"settings": {}},
        "services_authenticate": {},
        "subscriptions_increase": seats,
        "subscriptions_reduce": seats,
        "subscriptions_set_quantity": seats,
        "subscriptions_set_mode": {"mode": "Manual"},
        "subscriptions_set_expiration": {"expiration": "SameAsPool"},
        "subscriptions_switch_source": {"source": "Direct"},
        "subscriptions_convert": seats,
        "subscriptions_preview": {"change": verb},
        "subscriptions_batch_preview": {"customerIds": [customer], "change": verb},
        "subscriptions_batch_edit": {"customerIds": [target["customer_id"]], "change": verb},
    }


def routes() -> list[tuple[str, str, str, bool]]:
    """Method, path, operation id and whether it takes a body."""
    return [
        (method.upper(), path, operation["operationId"], "requestBody" in operation)
        for path, item in build_app().openapi()["paths"].items()
        for method, operation in item.items()
        if operation["operationId"] not in PUBLIC
    ]


def rights_of(dependant: Dependant) -> set[str]:
    """Every right that a route asks for, however deep."""
    own = {getattr(dependant.call, "permission", None)} - {None}
    return {right for right in own if right}.union(*map(rights_of, dependant.dependencies))


def test_every_route_declares_exactly_one_right() -> None:
    """A route without `requires` has no caller: this fails on it by name."""
    found = {}
    for context in iter_route_contexts(build_app().routes):
        route = context.original_route
        if isinstance(route, APIRoute):
            found[context.operation_id or context.path] = len(rights_of(route.dependant))
    assert found.keys() >= PUBLIC
    assert {name: n for name, n in found.items() if n != (0 if name in PUBLIC else 1)} == {}


def test_every_route_with_a_body_is_tried() -> None:
    target = dict.fromkeys((*CUSTOMER_PARAMETERS, *OTHERS), "x" * 16)
    assert {name for *_, name, takes in routes() if takes} == bodies(target).keys()


async def _headers(two: World, api: httpx.AsyncClient, name: str) -> dict[str, str]:
    if name != "inContext":
        return two.caller(name)
    headers = two.caller("administrator")
    body = {"customerId": two.mine["customer_id"]}
    opened = await api.post("/api/v1/contexts", json=body, headers=headers)
    assert opened.status_code == 201, opened.text
    return headers | {CONTEXT_HEADER: opened.json()["id"]}


async def _try(
    api: httpx.AsyncClient, headers: dict[str, str], target: dict[str, str], route: Any
) -> httpx.Response:
    method, path, name, takes_body = route
    body = bodies(target)[name] if takes_body else None
    sent = headers | ({"If-Match": "*"} if method in {"PUT", "PATCH", "DELETE"} else {})
    address, query = path.format(**target), QUERIES.get(name)
    return await api.request(method, address, params=query, json=body, headers=sent)


def _names_target(route: Any, target: dict[str, str]) -> bool:
    """Whether the route is told an id of the target, in its path or in its body."""
    _, path, name, takes_body = route
    if set(re.findall(r"{(\w+)}", path)) - OF_THE_CALLER:
        return True
    told = str(bodies(target)[name]) if takes_body else ""
    return any(
        target[each] in told for each in (*CUSTOMER_PARAMETERS, "user_id", "role_id", "reseller_id")
    )


@pytest.mark.parametrize(
    ("name", "whose"),
    [(name, "theirs") for name in (*SEES_ALL, *LIMITED)] + [(name, "hidden") for name in LIMITED],
)
async def test_foreign_ids_are_unknown_on_every_route(
    two: World, anonymous: httpx.AsyncClient, name: str, whose: str
) -> None:
    headers = await _headers(two, anonymous, name)
    foreign = two.b.made | (two.theirs if whose == "theirs" else two.hidden)
    nothing = world.made_up(two.theirs)
    secrets = [SECRET] if name in SEES_ALL else [SECRET, HIDDEN]
    wrong: list[str] = []
    for route in routes():
        if name == "inContext" and route[2].startswith("contexts_"):
            continue  # these run outside of any context: the administrator's, tried as such
        answer = await _try(anonymous, headers, foreign, route)
        shown = [each for each in secrets if each in answer.text]
        if shown:
            wrong.append(f"{route[2]} shows data: {answer.text[:200]}")
        if not _names_target(route, foreign):
            continue
        control = await _try(anonymous, headers, nothing, route)
        seen = [(each.status_code, each.headers.get("x-error-code")) for each in (answer, control)]
        refused = seen[0][0] in {403, 404} or seen[0] in UNKNOWN
        if not refused and not _is_told_per_item(route, answer):
            wrong.append(f"{route[2]} answers {seen[0]}")
        if seen[0] != seen[1]:
            wrong.append(f"{route[2]} tells foreign from unknown: {seen}")
    assert wrong == []


# Refusals of ids inside a body: the same for what is foreign and what never was.
UNKNOWN = {(400, "CUSTOMER_UNKNOWN"), (400, "ROLE_UNKNOWN"), (400, "INVITATION_INVALID")}


def _is_told_per_item(route: Any, answer: httpx.Response) -> bool:
    """A bulk answer that says unknown for every item."""
    return route[2] == "users_set_roles" and {
        item["status"] for item in answer.json()["value"]
    } == {404}


@pytest.mark.parametrize("name", [each for each in LIMITED if each != "customerUser"])
async def test_the_same_callers_do_reach_their_own(
    two: World, anonymous: httpx.AsyncClient, name: str
) -> None:
    """Otherwise the test above would prove nothing."""
    headers = await _headers(two, anonymous, name)
    for path in (
        "/customers/{customer_id}", "/policies/{policy_id}", "/sessions/{session_id}",
        "/objects/{object_id}", "/restores/{restore_id}", "/operations/{operation_id}",
    ):  # fmt: skip
        answer = await anonymous.get(f"/api/v1{path}".format(**two.mine), headers=headers)
        assert answer.status_code == 200, (path, answer.text)


async def test_an_end_user_sees_only_what_is_their_own(
    two: World, anonymous: httpx.AsyncClient
) -> None:
    """CUS-39, RST-04"""
    dan = two.caller("customerUser")
    eve = two.user("eve", "eve@mine.example", two.mine_tenant, roles=None)
    path = f"/api/v1/objects/{two.mine['object_id']}"
    assert (await anonymous.get(path, headers=dan)).status_code == 200
    check_problem(await anonymous.get(path, headers=eve), 404, "NOT_FOUND")
    listed = f"/api/v1/customers/{two.mine['customer_id']}/objects"
    assert len((await anonymous.get(listed, headers=dan)).json()["value"]) == 1
    assert (await anonymous.get(listed, headers=eve)).json()["value"] == []
    body = {"objectId": two.mine["object_id"], "snapshot": 1}
    answer = await anonymous.post("/api/v1/restores", json=body, headers=eve)
    check_problem(answer, 404, "NOT_FOUND")
    # A restore that somebody else asked for is not theirs to look at.
    other = f"/api/v1/restores/{two.mine['restore_id']}"
    check_problem(await anonymous.get(other, headers=dan), 404, "NOT_FOUND")


async def test_without_credentials_every_route_says_401(
    two: World, anonymous: httpx.AsyncClient
) -> None:
    for route in routes():
        answer = await _try(anonymous, {}, two.theirs | two.b.made, route)
        check_problem(answer, 401, "UNAUTHORIZED")


async def test_a_stranger_with_a_good_token_gets_403_everywhere(
    two: World, anonymous: httpx.AsyncClient
) -> None:
    """ACC-01"""
    headers = two.user("eve", "eve@nowhere.example", "99999999-2222-3333-4444-555555555555")
    for route in routes():
        answer = await _try(anonymous, headers, two.theirs | two.b.made, route)
        check_problem(answer, 403, "PARTNER_UNKNOWN")
