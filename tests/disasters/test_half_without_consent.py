"""Disaster: half of the tenants let nobody in, at night and when the month is closed.

Their backups say so, nobody's licences change for it, and the month waits and names them.
"""

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.access.model import Scope
from shared.usage import rules
from tests.e2e.clock import make_due, tick
from tests.e2e.scene import Customer, Json, Partner, Scene
from tests.e2e.test_usage import fire

pytestmark = pytest.mark.usefixtures("calm")

MONTH = rules.month_before(rules.month_of(datetime.now(UTC).date()))


@pytest.fixture(scope="module")
def fleet(scene: Scene, second_partner: Partner) -> list[Customer]:
    """Four customers of a partner of their own, connected since the month before."""
    found = [scene.onboarded(partner=second_partner, services=["exchange"]) for _ in range(4)]
    scope = Scope(second_partner.get("/partners/me")["partnerId"])
    begun = datetime.combine(rules.first_of(MONTH), datetime.min.time(), UTC)

    async def age(deps: Any) -> None:
        from shared.customers import repository as customers

        for each in found:
            row = await customers.get(deps.tables, scope, each.id)
            older = row.model_copy(update={"activation_at": begun})
            await customers.save(deps.tables, scope, older)

    scene.with_storage(age)
    return found


def consent(scene: Scene, customer: Customer, method: str) -> None:
    path = f"/tenants/{customer.tenant['tenantId']}/consent"
    client = scene.registrations.reader
    if method == "DELETE":
        scene.cloud.ask("DELETE", path, clientId=client)
    else:
        scene.cloud.ask("POST", path, {"clientId": client})


def licences(partner: Partner, fleet: list[Customer]) -> list[Any]:
    return [list(partner.all(f"/customers/{each.id}/subscriptions")) for each in fleet]


def month_of(partner: Partner) -> Json | None:
    found = [each for each in partner.all("/usage-months") if each["month"] == MONTH]
    return found[0] if found else None


def test_the_night_runs_for_those_who_let_us_in_and_names_the_others(
    scene: Scene, second_partner: Partner, fleet: list[Customer]
) -> None:
    before = licences(second_partner, fleet)
    for each in fleet[:2]:
        consent(scene, each, "DELETE")
    for each in fleet:
        make_due(scene, each)
    tick(scene)
    states = []
    for each in fleet:
        path = f"/policies/{each.policy}/sessions"
        [only] = each.partner.follow(path, lambda page: page["value"])["value"]
        states.append(each.ended(only["id"])["state"])
    assert states == ["Disconnected", "Disconnected", "Success", "Success"]
    fire(scene, "adjust_licences")
    fire(scene, "expire_licences")
    assert licences(second_partner, fleet) == before, "silence is no reason to take seats"


def test_the_month_waits_for_them_by_name_and_closes_when_they_are_back(
    scene: Scene, second_partner: Partner, fleet: list[Customer]
) -> None:
    fire(scene, "close_usage_months")
    blocked = second_partner.follow(
        "/usage-months", lambda page: any(m["month"] == MONTH for m in page["value"])
    )
    [month] = [each for each in blocked["value"] if each["month"] == MONTH]
    assert month["state"] != "Closed"
    assert set(month["unknown"]) == {each.id for each in fleet[:2]}
    assert list(second_partner.all("/usage-reports")) == []
    for each in fleet[:2]:
        consent(scene, each, "POST")
    answer = second_partner.call("POST", f"/usage-months/{MONTH}:close")
    assert answer.status_code == 202, answer.text
    second_partner.follow(
        "/usage-months",
        lambda page: [m["state"] for m in page["value"] if m["month"] == MONTH] == ["Closed"],
    )
    month = month_of(second_partner)
    assert month is not None
    assert not month["unknown"]
    assert len(list(second_partner.all("/usage-reports"))) == 1
    for each in fleet[:2]:
        assert each.back_up()["counts"]["protected"] > 0
