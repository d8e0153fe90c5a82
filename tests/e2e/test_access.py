"""People sign in end to end: the partner's administrator, and the customer's own (RST-01 to 03)."""

from typing import Any

import httpx

from local.seed import ADMIN
from tests.e2e.scene import Customer, Partner, Scene, refused

PERSON = {"firstName": "Ada", "lastName": "Admin"}


def person(scene: Scene, tenant_id: str, upn: str, *roles: str) -> Partner:
    """Somebody with a token of the simulated Entra."""
    body = {"tenantId": tenant_id, "upn": upn, "roles": list(roles)}
    token = scene.cloud.ask("POST", "/token", body)["access_token"]
    return Partner(scene.stack.urls.api, token)


def within(someone: Partner, context: str, method: str, path: str, body: Any) -> httpx.Response:
    """One call inside a context."""
    headers = {"Holdfast-Context": context}
    return someone._http.request(method, path, json=body, headers=headers)


def test_a_partner_restores_only_as_admin_of_the_customer(scene: Scene) -> None:
    """ACC-06 to ACC-08, RST-01 to RST-03, CUS-50 to CUS-53."""
    ada = person(scene, scene.registrations.partner_tenant_id, ADMIN, "Partner.Admin")
    assert ada.get("/partners/me")["isAdministrator"] is True
    customer: Customer = scene.new_customer(scene.tenant())
    upns = (ADMIN, customer.tenant["admin"]["upn"])
    for upn in upns:
        ada.post(f"/customers/{customer.id}/admins", {**PERSON, "email": upn})
    pending = ada.call("POST", "/contexts", {"customerId": customer.id})
    refused(pending, 403, "CUSTOMER_PENDING")
    operation = scene.start_onboarding(customer)
    scene.accept(customer)
    assert scene.end_of(customer, operation)["status"] == "Succeeded"
    body = {"objectId": f"{customer.id}-o{'0' * 20}", "snapshot": 1}
    refused(ada.call("POST", "/restores", body), 403, "PERMISSION_MISSING")
    context = ada.post("/contexts", {"customerId": customer.id})["id"]
    # Allowed now: it fails only because no such mailbox exists.
    refused(within(ada, context, "POST", "/restores", body), 404, "NOT_FOUND")
    refused(within(ada, context, "GET", "/users", None), 403, "PERMISSION_MISSING")

    own = person(scene, customer.tenant["tenantId"], customer.tenant["admin"]["upn"])
    me = own.get("/partners/me")
    assert (me["kind"], me["customerIds"]) == ("customerAdmin", [customer.id])
    refused(own.call("POST", "/restores", body), 404, "NOT_FOUND")
    user = next(one for one in customer.people if one["upn"] not in upns)
    stranger = person(scene, customer.tenant["tenantId"], user["upn"])
    refused(stranger.call("GET", "/partners/me"), 403, "USER_UNKNOWN")

    etag = own.call("GET", f"/customers/{customer.id}").headers["ETag"]
    door = f"/customers/{customer.id}/partner-access"
    shut = own._http.put(door, json={"isAdmitted": False}, headers={"If-Match": etag})
    assert shut.status_code == 200, shut.text
    refused(within(ada, context, "POST", "/restores", body), 403, "MSP_ACCESS_DISABLED")
    listed = scene.partner.call("GET", f"/customers/{customer.id}/policies")
    refused(listed, 403, "MSP_ACCESS_DISABLED")
    for someone in (ada, own, stranger):
        someone.close()
