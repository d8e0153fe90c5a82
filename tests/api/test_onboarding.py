"""The doors of onboarding: what is refused at once, and what the process is told."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlparse

import httpx
import pytest

from shared.access.model import Scope
from shared.bootstrap import Deps
from shared.consent import service as consent
from shared.customers import repository as customers
from shared.kit.clock import FixedClock
from tests.api.conftest import CUSTOMER_TENANT, RecordedClient, check_problem

GOOD: dict[str, Any] = {
    "legalConfirmation": {"confirmed": True},
    "tenantId": CUSTOMER_TENANT,
    "region": "uksouth",
    "retentionYears": 1,
}


async def start(partner: httpx.AsyncClient, customer_id: str, **changed: Any) -> httpx.Response:
    return await partner.post(f"/api/v1/customers/{customer_id}/onboarding", json=GOOD | changed)


async def test_start_answers_with_an_operation(
    partner: httpx.AsyncClient, customer_id: str, durable: RecordedClient
) -> None:
    answer = await start(partner, customer_id)
    assert answer.status_code == 202, answer.text
    run = answer.json()
    assert answer.headers["Operation-Location"].endswith(f"/operations/{run['id']}")
    assert run["status"] == "NotStarted"
    assert list(durable.started) == [f"onboarding:{run['id']}"]
    operation = (await partner.get(answer.headers["Operation-Location"])).json()
    assert operation["kind"] == "onboarding"
    shown = (await partner.get(f"/api/v1/customers/{customer_id}/onboarding")).json()
    assert (shown["id"], shown["stage"]) == (run["id"], "Started")
    customer = (await partner.get(f"/api/v1/customers/{customer_id}")).json()
    assert customer["state"] == "Onboarding"


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"legalConfirmation": {"confirmed": False}}, 409, "LEGAL_CONFIRMATION_REQUIRED"),
        ({"region": "atlantis"}, 400, "REGION_NOT_SUPPORTED"),
        ({"retentionYears": 0}, 422, "RETENTION_OUT_OF_RANGE"),
        ({"retentionYears": 26}, 422, "RETENTION_OUT_OF_RANGE"),
        ({"retentionYears": "forever"}, 400, "INVALID_INPUT"),
        ({"retentionYears": True}, 400, "INVALID_INPUT"),
        ({"retentionYears": 10**30}, 422, "RETENTION_OUT_OF_RANGE"),
        ({"services": ["planner"]}, 400, "INVALID_INPUT"),
        ({"services": []}, 400, "INVALID_INPUT"),
        ({"tenantId": "contoso"}, 400, "INVALID_INPUT"),
        ({"signIn": "password"}, 400, "INVALID_INPUT"),
        ({"surprise": 1}, 400, "INVALID_INPUT"),
    ],
)
async def test_refused_starts_change_nothing(
    partner: httpx.AsyncClient,
    customer_id: str,
    durable: RecordedClient,
    changed: dict[str, Any],
    status: int,
    code: str,
) -> None:
    check_problem(await start(partner, customer_id, **changed), status, code)
    assert not durable.started
    customer = (await partner.get(f"/api/v1/customers/{customer_id}")).json()
    assert customer["state"] == "Pending"


async def test_a_wrong_choice_is_named_without_inner_marks(
    partner: httpx.AsyncClient, customer_id: str
) -> None:
    answer = await start(partner, customer_id, retentionYears="forever", services=["x"])
    problem = check_problem(answer, 400, "INVALID_INPUT")
    assert {error["pointer"] for error in problem["errors"]} == {"#/retentionYears", "#/services/0"}


async def test_onb_35_a_missing_confirmation_is_refused(
    partner: httpx.AsyncClient, customer_id: str
) -> None:
    body = {name: value for name, value in GOOD.items() if name != "legalConfirmation"}
    answer = await partner.post(f"/api/v1/customers/{customer_id}/onboarding", json=body)
    check_problem(answer, 409, "LEGAL_CONFIRMATION_REQUIRED")


async def test_onb_33_a_second_start_is_refused_unless_it_repeats_the_first(
    partner: httpx.AsyncClient, customer_id: str, durable: RecordedClient
) -> None:
    first = (await start(partner, customer_id)).json()["id"]
    again = await start(partner, customer_id)
    assert again.json()["id"] == first
    assert len(durable.started) == 1
    check_problem(await start(partner, customer_id, region="eastus"), 409, "ONBOARDING_RUNNING")


async def test_cus_31_a_tenant_is_managed_once(
    deps: Deps, partner: httpx.AsyncClient, customer_id: str
) -> None:
    mine = (await partner.get("/api/v1/partners/me")).json()["partnerId"]
    other = (await partner.post("/api/v1/customers", json={"displayName": "Other"})).json()["id"]
    tenant = "44444444-2222-3333-4444-555555555555"
    scope = Scope(mine)
    holder = await customers.get(deps.tables, scope, other)
    await customers.claim_tenant(deps.tables, scope, holder, tenant)
    await customers.claim_tenant(deps.tables, scope, holder, tenant)  # a repetition is fine
    answer = await start(partner, customer_id, tenantId=tenant)
    check_problem(answer, 409, "CUSTOMER_MANAGED_ELSEWHERE")
    await customers.release_tenant(deps.tables, scope, holder, tenant)
    assert (await start(partner, customer_id, tenantId=tenant)).status_code == 202


async def test_cancel_tells_the_process(
    partner: httpx.AsyncClient, customer_id: str, durable: RecordedClient
) -> None:
    address = f"/api/v1/customers/{customer_id}/onboarding"
    check_problem(await partner.post(f"{address}:cancel"), 404, "NO_ONBOARDING")
    run = (await start(partner, customer_id)).json()["id"]
    answer = await partner.post(f"{address}:cancel")
    assert answer.status_code == 202, answer.text
    assert durable.raised == [(f"onboarding:{run}", "cancel", {})]


async def test_onb_38_a_code_is_renewed_only_after_expiry(
    partner: httpx.AsyncClient, customer_id: str
) -> None:
    await start(partner, customer_id)
    answer = await partner.post(f"/api/v1/customers/{customer_id}/onboarding:renewSignIn")
    check_problem(answer, 409, "NOTHING_TO_RENEW")


async def link_of(deps: Deps, customer_id: str) -> tuple[str, dict[str, list[str]]]:
    url, link = await consent.create_link(
        deps,
        partner_id="p",
        customer_id=customer_id,
        tenant_id=CUSTOMER_TENANT,
        run_id="run",
        created_by="me",
    )
    return link.state, parse_qs(urlparse(url).query)


async def test_con_03_a_call_back_wakes_the_process_once(
    deps: Deps, anonymous: httpx.AsyncClient, durable: RecordedClient
) -> None:
    state, query = await link_of(deps, "c")
    assert query["redirect_uri"] == ["http://holdfast.test/api/v1/consent/callback"]
    given = {"state": state, "admin_consent": "True", "tenant": "whatever", "scope": "x"}
    first = await anonymous.get("/api/v1/consent/callback", params=given)
    assert first.status_code == 200
    assert "text/html" in first.headers["content-type"]
    assert durable.raised == [
        ("onboarding:run", "consent-answered", {"outcome": "accepted", "detail": ""})
    ]
    replay = await anonymous.get("/api/v1/consent/callback", params=given)
    assert replay.status_code == 400
    assert len(durable.raised) == 1


@pytest.mark.parametrize("state", ["", "x", "A" * 43, "../" * 14 + "A"])
async def test_con_03_a_foreign_state_is_refused(
    anonymous: httpx.AsyncClient, durable: RecordedClient, state: str
) -> None:
    answer = await anonymous.get("/api/v1/consent/callback", params={"state": state})
    assert answer.status_code == 400
    assert durable.raised == []


async def test_con_03_an_expired_state_is_refused(
    deps: Deps, anonymous: httpx.AsyncClient, durable: RecordedClient
) -> None:
    deps.clock = FixedClock(datetime.now(UTC) - timedelta(hours=1))
    state, _ = await link_of(deps, "c")
    deps.clock = FixedClock(datetime.now(UTC))
    answer = await anonymous.get("/api/v1/consent/callback", params={"state": state})
    assert answer.status_code == 400
    assert durable.raised == []


async def test_what_a_call_back_says_is_escaped(
    deps: Deps, anonymous: httpx.AsyncClient, durable: RecordedClient
) -> None:
    state, _ = await link_of(deps, "c")
    given = {"state": state, "error": "access_denied", "error_description": "<script>x</script>"}
    answer = await anonymous.get("/api/v1/consent/callback", params=given)
    assert "<script" not in answer.text
    assert durable.raised[0][2]["outcome"] == "declined"


@pytest.mark.parametrize(
    ("verb", "body"), [("check", None), ("link", {"app": "restorer"}), ("link", {})]
)
async def test_no_consent_is_asked_before_there_is_a_tenant(
    partner: httpx.AsyncClient, customer_id: str, verb: str, body: Any
) -> None:
    answer = await partner.post(f"/api/v1/customers/{customer_id}/consent:{verb}", json=body)
    check_problem(answer, 409, "CUSTOMER_NOT_CONNECTED")


async def test_a_link_for_the_restorer_wakes_nobody(
    deps: Deps, partner: httpx.AsyncClient, customer_id: str, durable: RecordedClient
) -> None:
    mine = Scope((await partner.get("/api/v1/partners/me")).json()["partnerId"])
    customer = await customers.get(deps.tables, mine, customer_id)
    connected = customer.model_copy(update={"tenant_id": CUSTOMER_TENANT})
    await customers.save(deps.tables, mine, connected)
    address = f"/api/v1/customers/{customer_id}/consent:link"
    answer = await partner.post(address, json={"app": "restorer"})
    assert answer.status_code == 201, answer.text
    query = parse_qs(urlparse(answer.json()["link"]).query)
    assert query["client_id"] == ["restorer"]
    given = {"state": query["state"][0], "admin_consent": "True"}
    assert (await partner.get("/api/v1/consent/callback", params=given)).status_code == 200
    assert durable.raised == []
