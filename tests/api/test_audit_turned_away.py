"""Who is refused while signing in: a line in the trail of the partner named, else a log line."""

import asyncio
import logging
import uuid
from datetime import timedelta
from typing import Any

import httpx
import pytest

from shared.access.partners import REGISTRAR
from shared.audit.service import Filter
from shared.bootstrap import Deps
from shared.kit.ids import new_id
from tests.api.conftest import check_problem
from tests.api.test_audit import Bearer
from tests.api.world import World

V1 = "/api/v1"


async def told(two: World) -> list[dict[str, Any]]:
    page = await (await two.deps.trail()).page(two.a.scope, Filter(), 10)
    return [line.model_dump(mode="json") for line in page.lines]


async def test_strangers_of_a_known_partner_are_in_its_trail(
    anonymous: httpx.AsyncClient, two: World
) -> None:
    strangers = {
        "USER_UNKNOWN": (two.user("mallory", "mallory@a.example"), "user", "mallory"),
        "CLIENT_NOT_REGISTERED": (
            two.bearer(two.a.tenant_id, azp="nobody", oid="service"), "application", "service",
        ),
        "ROLE_MISSING": (
            two.bearer(two.a.tenant_id, roles=[], oid="roleless"), "application", "roleless",
        ),
    }  # fmt: skip
    for code, (headers, kind, subject) in strangers.items():
        answer = await anonymous.get(f"{V1}/customers", headers=headers)
        check_problem(answer, 403, code)
        line = (await told(two))[0]
        assert (line["outcome"], line["code"]) == ("refused", code)
        assert (line["actor"]["kind"], line["actor"]["subject"]) == (kind, subject)
        assert (line["actor"]["tenant_id"], line["action"]) == (two.a.tenant_id, "customers.list")
    assert len(await told(two)) == len(strangers)


async def test_keys_that_are_wrong_or_expired_are_in_the_trail_of_the_partner_they_name(
    anonymous: httpx.AsyncClient, two: World
) -> None:
    soon = two.deps.clock.now() + timedelta(seconds=0.1)
    made, expired = await two.deps.clients.make_key(
        two.a.scope, REGISTRAR, name="Old", permissions=[], expires_at=soon
    )
    await asyncio.sleep(0.2)  # until it has expired
    named = two.key.split(".")[1]
    for text, key_id in ((expired, made.key_id), (two.key[:-2] + "__", named)):
        answer = await anonymous.get(f"{V1}/customers", headers={"X-Api-Key": text})
        check_problem(answer, 401, "API_KEY_INVALID")
        line = (await told(two))[0]
        assert (line["code"], line["actor"]["kind"]) == ("API_KEY_INVALID", "apiKey")
        assert line["actor"]["subject"] == key_id
        assert text.rsplit(".", 1)[1] not in str(line)


async def test_a_customers_stranger_is_in_the_trail_of_its_partner(
    anonymous: httpx.AsyncClient, two: World
) -> None:
    person = two.user("zoe", "zoe@hidden.example", two.mine_tenant, roles=None)
    away = {"X-Forwarded-For": "198.51.100.9"}
    admin = two.caller("customerAdmin")
    path = f"{V1}/customers/{two.mine['customer_id']}"
    shown = await anonymous.get(path, headers=admin)
    assert shown.status_code == 200, shown.text
    flags = await anonymous.get(path, headers=person | away)
    assert flags.status_code in {403, 404}
    line = (await told(two))[0]
    assert (line["actor"]["subject"], line["source"]["address"]) == ("zoe", "198.51.100.9")


async def test_nobody_we_know_is_logged_without_the_token_and_has_no_trail(
    anonymous: httpx.AsyncClient, bearer: Bearer, deps: Deps, caplog: pytest.LogCaptureFixture
) -> None:
    stranger, made_up = bearer(str(uuid.uuid4())), f"hfk_{new_id()}.{new_id(12)}.{'a' * 43}"
    before = await (await deps.trail()).partners()
    with caplog.at_level(logging.WARNING, "functions.api.manners"):
        answer = await anonymous.get(f"{V1}/customers", headers=stranger)
        check_problem(answer, 403, "PARTNER_UNKNOWN")
        answer = await anonymous.get(f"{V1}/customers", headers={"X-Api-Key": made_up})
        check_problem(answer, 401, "API_KEY_INVALID")
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split()[2] for line in lines] == ["code=PARTNER_UNKNOWN", "code=API_KEY_INVALID"]
    assert not any(stranger["Authorization"][7:40] in line or made_up in line for line in lines)
    assert await (await deps.trail()).partners() == before


async def test_a_flood_of_wrong_keys_does_not_fill_a_trail(
    anonymous: httpx.AsyncClient, two: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter = two.deps.limiter
    monkeypatch.setattr(limiter, "_policy", type(limiter._policy)(quota=2))
    wrong = {"X-Api-Key": two.key[:-2] + "__"}
    codes = [(await anonymous.get(f"{V1}/customers", headers=wrong)).status_code for _ in range(4)]
    assert codes == [401, 401, 429, 429]
    assert len(await told(two)) == 2
