"""Customers through the API: create, read, list; one partner never sees another's (CUS-01)."""

from collections.abc import Callable

import httpx

from shared.access.model import Client
from shared.access.service import register_partner
from shared.bootstrap import Deps
from tests.api.conftest import OTHER_TENANT, PARTNER_TENANT, check_problem

Bearer = Callable[..., dict[str, str]]


async def test_onb_32_a_new_customer_is_pending(partner: httpx.AsyncClient) -> None:
    body = {"displayName": "  Contoso ", "externalId": "PSA-1", "country": "DE", "tags": ["b", "a"]}
    answer = await partner.post("/api/v1/customers", json=body)
    created = answer.json()
    assert answer.status_code == 201
    assert (created["displayName"], created["tags"]) == ("Contoso", ["a", "b"])
    assert (created["state"], created["contractType"]) == ("Pending", "Pending")
    read = await partner.get(answer.headers["Location"])
    assert read.json() == created
    assert read.headers["ETag"] == answer.headers["ETag"]


async def test_etag_saves_the_body(partner: httpx.AsyncClient, customer_id: str) -> None:
    address = f"/api/v1/customers/{customer_id}"
    etag = (await partner.get(address)).headers["ETag"]
    again = await partner.get(address, headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    assert not etag.startswith("W/")


async def test_cus_01_another_partner_sees_nothing(
    partner: httpx.AsyncClient, customer_id: str, bearer: Bearer
) -> None:
    other = bearer(OTHER_TENANT)
    listed = await partner.get("/api/v1/customers", headers=other)
    assert customer_id not in listed.text
    answer = await partner.get(f"/api/v1/customers/{customer_id}", headers=other)
    check_problem(answer, 404, "NOT_FOUND")
    answer = await partner.get(f"/api/v1/customers/{customer_id}/consent", headers=other)
    check_problem(answer, 404, "NOT_FOUND")


async def test_a_client_limited_to_some_customers_sees_only_those(
    deps: Deps, partner: httpx.AsyncClient, customer_id: str, bearer: Bearer
) -> None:
    other = (await partner.post("/api/v1/customers", json={"displayName": "Hidden"})).json()["id"]
    limited = Client("limited", customers=frozenset({customer_id}))
    await register_partner(deps, PARTNER_TENANT, "Partner", [limited])
    headers = bearer(azp="limited")
    listed = (await partner.get("/api/v1/customers", headers=headers)).json()["value"]
    assert [one["id"] for one in listed] == [customer_id]
    answer = await partner.get(f"/api/v1/customers/{other}", headers=headers)
    check_problem(answer, 404, "NOT_FOUND")
    answer = await partner.post("/api/v1/customers", headers=headers, json={"displayName": "x"})
    check_problem(answer, 403, "SCOPE_TOO_NARROW")
    me = (await partner.get("/api/v1/partners/me", headers=headers)).json()
    assert me["customerIds"] == [customer_id]


async def test_pages_follow_next_link_to_the_end(
    partner: httpx.AsyncClient, bearer: Bearer
) -> None:
    names = [f"Paged {letter}" for letter in "cadbe"]
    for name in names:
        await partner.post("/api/v1/customers", json={"displayName": name})
    link: str | None = "/api/v1/customers?search=paged&maxpagesize=2&orderby=-displayName"
    seen: list[str] = []
    while link:
        page = (await partner.get(link)).json()
        seen += [one["displayName"] for one in page["value"]]
        assert "nextLink" not in page or page["nextLink"]
        if link := page.get("nextLink"):
            foreign = await partner.get(link, headers=bearer(OTHER_TENANT))
            check_problem(foreign, 400, "BAD_CURSOR")
            changed = await partner.get(link.replace("paged", "other"))
            check_problem(changed, 400, "BAD_CURSOR")
    assert seen == sorted(names, reverse=True)


async def test_who_am_i(partner: httpx.AsyncClient) -> None:
    me = (await partner.get("/api/v1/partners/me")).json()
    assert me["tenantId"] == PARTNER_TENANT
    assert "CustomerManagement" in me["permissions"]
    assert "customers.write" in me["rights"]
    assert me["customerIds"] is None
