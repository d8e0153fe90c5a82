"""Onboarding from end to end: both ways in, every way it can end, and what is refused (ONB)."""

import pytest

from tests.e2e.scene import Customer, Json, Partner, Scene, plan_of, refused, state_of


@pytest.fixture(scope="module")
def tenant(scene: Scene) -> Json:
    """A tenant whose onboardings all end without a customer: it is free again after each."""
    return scene.tenant()


def state(customer: Customer) -> str:
    return str(customer.partner.get(f"/customers/{customer.id}")["state"])


def test_onb_consent_link_makes_an_active_customer_with_a_policy(scene: Scene) -> None:
    customer = scene.new_customer(scene.tenant())
    assert state(customer) == "Pending"
    answer = scene.partner.call(
        "POST", f"/customers/{customer.id}/onboarding", plan_of(customer.tenant)
    )
    assert answer.status_code == 202
    operation = answer.json()["id"]
    assert answer.headers["Operation-Location"].endswith(f"/operations/{operation}")
    assert int(answer.headers["Retry-After"]) > 0
    assert "Thank you" in scene.accept(customer)
    ended = scene.end_of(customer, operation)
    assert ended["status"] == "Succeeded", ended
    assert ended["percentComplete"] == 100
    assert {step["state"] for step in ended["steps"]} == {"Succeeded"}
    found = scene.partner.get(f"/customers/{customer.id}")
    assert found["state"] == "Active"
    assert found["tenantId"] == customer.tenant["tenantId"]
    assert found["domain"] == customer.tenant["domain"]
    assert (found["region"], found["retentionYears"]) == ("westeurope", 1)
    assert found["services"] == ["exchange", "onedrive"]
    [policy] = scene.partner.all(f"/customers/{customer.id}/policies")
    assert policy["createdBySystem"]
    assert policy["backupType"] == "EntireOrganization"
    assert policy["nextRunAt"] > policy["createdAt"]
    [grant] = scene.partner.get(f"/customers/{customer.id}/consent")["grants"]
    assert (grant["state"], grant["missing"]) == ("healthy", [])
    objects = list(scene.partner.all(f"/customers/{customer.id}/objects"))
    expected = sorted(
        (kind, user["id"]) for kind in ("drive", "mailbox") for user in customer.people
    )
    assert sorted((o["workload"], o["ownerId"]) for o in objects if o["licensed"]) == expected


def test_onb_38_device_code_makes_an_active_customer(scene: Scene) -> None:
    customer = scene.new_customer(scene.tenant())
    operation = scene.start_onboarding(customer, signIn="deviceCode", policies="manual")
    sign_in = scene.sign_in(customer)
    assert sign_in["way"] == "deviceCode"
    assert sign_in["verificationUri"]
    scene.cloud.ask(
        "POST", f"/device/{sign_in['userCode']}", {"upn": customer.tenant["admin"]["upn"]}
    )
    ended = scene.end_of(customer, operation)
    assert ended["status"] == "Succeeded", ended
    assert state(customer) == "Active"
    assert list(scene.partner.all(f"/customers/{customer.id}/policies")) == []
    [grant] = scene.partner.get(f"/customers/{customer.id}/consent")["grants"]
    assert (grant["state"], grant["missing"]) == ("healthy", [])


@pytest.mark.parametrize("way", ["adminConsent", "deviceCode"])
def test_onb_39_a_decline_ends_the_run_and_frees_the_tenant(
    scene: Scene, tenant: Json, way: str
) -> None:
    customer = scene.new_customer(tenant)
    operation = scene.start_onboarding(customer, signIn=way)
    sign_in = scene.sign_in(customer)
    if way == "deviceCode":
        scene.cloud.ask("POST", f"/device/{sign_in['userCode']}", {"decline": True})
    else:
        said = scene.cloud.consent_in_browser(sign_in["link"], tenant["admin"]["upn"], "decline")
        assert "Nothing was granted" in said
    ended = scene.end_of(customer, operation)
    assert ended["status"] == "Failed"
    assert ended["error"]["code"] == "CONSENT_DECLINED"
    assert ended["error"]["detail"]
    assert state(customer) == "Pending"
    assert scene.partner.get(f"/customers/{customer.id}")["tenantId"] is None
    assert scene.partner.get(f"/customers/{customer.id}/onboarding")["signIn"] is None


def test_onb_39_a_wrong_account_is_told_so(scene: Scene, tenant: Json) -> None:
    customer = scene.new_customer(tenant)
    operation = scene.start_onboarding(customer, signIn="deviceCode")
    code = scene.sign_in(customer)["userCode"]
    colleague = next(u["upn"] for u in tenant["users"] if u["id"] != tenant["admin"]["id"])
    scene.cloud.ask("POST", f"/device/{code}", {"upn": colleague})
    ended = scene.end_of(customer, operation)
    assert ended["error"]["code"] == "NOT_GLOBAL_ADMIN"
    assert state(customer) == "Pending"
    consents = scene.cloud.ask("GET", f"/tenants/{tenant['tenantId']}/consent")["consents"]
    assert scene.registrations.reader not in consents


def test_onb_34_cancel_undoes_everything_and_it_can_start_again(scene: Scene, tenant: Json) -> None:
    customer = scene.new_customer(tenant)
    operation = scene.start_onboarding(customer)
    link = scene.sign_in(customer)["link"]
    path = f"/customers/{customer.id}/onboarding"
    refused(scene.partner.call("POST", path, plan_of(tenant)), 409, "ONBOARDING_RUNNING")
    refused(scene.partner.call("POST", f"{path}:renewSignIn"), 409, "NOTHING_TO_RENEW")
    canceled = scene.partner.call("POST", f"{path}:cancel")
    assert canceled.status_code == 202
    assert canceled.headers["Operation-Location"].endswith(operation)
    ended = scene.end_of(customer, operation)
    assert ended["status"] == "Canceled", ended
    assert state(customer) == "Pending"
    refused(scene.partner.call("POST", f"{path}:cancel"), 409, "ONBOARDING_OVER")
    again = scene.start_onboarding(customer)
    assert again != operation
    assert state_of(scene.sign_in(customer)["link"]) != state_of(link)
    scene.partner.post(f"{path}:cancel")
    assert scene.end_of(customer, again)["status"] == "Canceled"


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"legalConfirmation": None}, 409, "LEGAL_CONFIRMATION_REQUIRED"),
        ({"legalConfirmation": {"confirmed": False}}, 409, "LEGAL_CONFIRMATION_REQUIRED"),
        ({"region": "atlantis"}, 400, "REGION_NOT_SUPPORTED"),
        ({"retentionYears": 0}, 422, "RETENTION_OUT_OF_RANGE"),
        ({"retentionYears": 26}, 422, "RETENTION_OUT_OF_RANGE"),
        ({"retentionYears": "forever"}, 400, "INVALID_INPUT"),
        ({"services": ["planner"]}, 400, "INVALID_INPUT"),
        ({"services": []}, 400, "INVALID_INPUT"),
        ({"tenantId": "contoso.example"}, 400, "INVALID_INPUT"),
        ({"tenantId": None}, 400, "INVALID_INPUT"),
        ({"surprise": True}, 400, "INVALID_INPUT"),
    ],
)
def test_onb_35_to_37_a_wrong_plan_starts_nothing(
    scene: Scene, pending: Customer, changed: Json, status: int, code: str
) -> None:
    before = scene.cloud.ask("GET", "/stats")["total"]
    path = f"/customers/{pending.id}/onboarding"
    refused(scene.partner.call("POST", path, plan_of(pending.tenant, **changed)), status, code)
    assert state(pending) == "Pending"
    refused(scene.partner.call("GET", path), 404, "NO_ONBOARDING")
    assert scene.cloud.ask("GET", "/stats")["total"] == before


@pytest.fixture(scope="module")
def pending(scene: Scene, tenant: Json) -> Customer:
    return scene.new_customer(tenant)


def test_cus_31_a_tenant_belongs_to_one_customer_of_one_partner(
    scene: Scene, customer: Customer, second_partner: Partner
) -> None:
    for partner in (scene.partner, second_partner):
        other = scene.new_customer(customer.tenant, partner)
        answer = partner.call("POST", f"/customers/{other.id}/onboarding", plan_of(customer.tenant))
        problem = refused(answer, 409, "CUSTOMER_MANAGED_ELSEWHERE")
        assert customer.id not in str(problem)
        assert state(other) == "Pending"
    assert state(customer) == "Active"


def test_cus_31_two_onboardings_of_one_tenant_at_once_make_one_customer(scene: Scene) -> None:
    tenant = scene.tenant()
    rivals = [scene.new_customer(tenant) for _ in range(2)]
    operations = [scene.start_onboarding(rival) for rival in rivals]
    for rival in rivals:
        scene.sign_in(rival)
    scene.accept(rivals[0])
    ended = [
        scene.end_of(rival, operation) for rival, operation in zip(rivals, operations, strict=True)
    ]
    assert sorted(one["status"] for one in ended) == ["Failed", "Succeeded"]
    loser = next(one for one in ended if one["status"] == "Failed")
    assert loser["error"]["code"] == "CUSTOMER_MANAGED_ELSEWHERE"
    assert sorted(map(state, rivals)) == ["Active", "Pending"]


def test_onb_34_an_active_customer_is_not_onboarded_again(scene: Scene, customer: Customer) -> None:
    path = f"/customers/{customer.id}/onboarding"
    answer = scene.partner.call("POST", path, plan_of(customer.tenant))
    refused(answer, 409, "CUSTOMER_NOT_PENDING")
    refused(scene.partner.call("POST", f"{path}:cancel"), 409, "ONBOARDING_OVER")
    assert state(customer) == "Active"


def test_con_03_a_consent_link_of_nobody_is_a_page_that_says_so(scene: Scene) -> None:
    import httpx

    address = f"{scene.stack.urls.api}/api/v1/consent/callback"
    answer = httpx.get(address, params={"state": "<script>", "admin_consent": "True"})
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/html")
    assert "<script>" not in answer.text
