"""What each state of a policy, a session, an erasure allows (features.md 24.2): every cell."""

from typing import Any

import httpx
import pytest

from shared.customers import repository as customers
from shared.customers.model import CustomerState
from shared.keeping import repository as keeping
from shared.keeping.model import ERASURE, Erasure, ErasureState
from shared.kit import ids
from shared.protection import changes
from shared.protection.model import SESSION_OVER, SessionState
from tests.api.conftest import check_problem
from tests.api.world import START, World

OK = (200, None)
STARTED, DELETED = (202, None), (204, None)
RUNS, UNKNOWN = (409, "ALREADY_RUNNING"), (404, "NOT_FOUND")
LEFT = (409, "CUSTOMER_DISCONNECTED")
COLUMNS = ("start", "edit", "enable", "disable", "delete")
POLICY: dict[str, tuple[tuple[int, str | None], ...]] = {
    "enabled": (STARTED, OK, OK, OK, DELETED),
    "disabled": (STARTED, OK, OK, OK, DELETED),
    "Queued": (RUNS, OK, OK, OK, RUNS),
    "Running": (RUNS, OK, OK, OK, RUNS),
    "Stopping": (RUNS, OK, OK, OK, RUNS),
    "ended": (STARTED, OK, OK, OK, DELETED),
    "deleted": (UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN),
    "disconnected": (LEFT, OK, LEFT, OK, DELETED),
}


@pytest.fixture
def api(two: World, anonymous: httpx.AsyncClient) -> httpx.AsyncClient:
    """The administrator of partner A."""
    anonymous.headers.update(two.caller("administrator"))
    return anonymous


async def bring(two: World, api: httpx.AsyncClient, state: str) -> str:
    """Bring the policy into a state; its address."""
    address = f"/api/v1/policies/{two.mine['policy_id']}"
    match state:
        case "disabled":
            await api.post(f"{address}:disable")
        case "Queued" | "Running" | "Stopping" | "ended":
            answer = await api.post(f"{address}/sessions")
            assert answer.status_code == 202, answer.text
            await set_session(two, str(answer.json()["id"]), state)
        case "deleted":
            etag = (await api.get(address)).headers["ETag"]
            await api.delete(address, headers={"If-Match": etag})
        case "disconnected":
            mine = await customers.get(two.deps.tables, two.a.scope, two.mine["customer_id"])
            gone = mine.model_copy(update={"state": CustomerState.DISCONNECTED})
            await customers.save(two.deps.tables, two.a.scope, gone)
    return address


async def set_session(two: World, session_id: str, state: str) -> None:
    wanted = SessionState.FAILED if state == "ended" else SessionState(state)
    await changes.change_session(
        two.deps.tables, two.a.scope, session_id,
        lambda found: found.model_copy(
            update={"state": wanted, "ended_at": START if wanted in SESSION_OVER else None}
        ),
    )  # fmt: skip


async def act(api: httpx.AsyncClient, address: str, action: str) -> httpx.Response:
    read = await api.get(address)
    seen = {"If-Match": read.headers["ETag"]} if read.status_code == 200 else {"If-Match": "*"}
    match action:
        case "start":
            return await api.post(f"{address}/sessions")
        case "edit":
            return await api.patch(address, json={"name": "Other"}, headers=seen)
        case "delete":
            return await api.delete(address, headers=seen)
        case _:
            return await api.post(f"{address}:{action}")


@pytest.mark.parametrize("action", COLUMNS)
async def test_bkp_06_to_11_policy(two: World, api: httpx.AsyncClient, action: str) -> None:
    for state, row in POLICY.items():
        if state == "disconnected":
            continue  # last: it changes the customer of every policy
        await check_cell(two, api, state, action, row[COLUMNS.index(action)])
        await renew(two, api)
    await check_cell(
        two, api, "disconnected", action, POLICY["disconnected"][COLUMNS.index(action)]
    )


async def check_cell(
    two: World, api: httpx.AsyncClient, state: str, action: str, wanted: tuple[int, str | None]
) -> None:
    address = await bring(two, api, state)
    before = (await api.get(address)).text
    status, code = wanted
    answer = await act(api, address, action)
    if code is None:
        assert answer.status_code == status, (state, action, answer.text)
        return
    check_problem(answer, status, code)
    assert stable((await api.get(address)).text) == stable(before), (state, action)


def stable(text: str) -> str:
    """A problem names its trace; everything else has to be as it was."""
    return "" if '"traceId"' in text else text


async def renew(two: World, api: httpx.AsyncClient) -> None:
    """Another policy in the place of the one that was used."""
    path = f"/api/v1/customers/{two.mine['customer_id']}/policies"
    answer = await api.post(path, json={"name": "P"})
    assert answer.status_code == 201, answer.text
    two.mine["policy_id"] = str(answer.json()["id"])


async def test_bkp_09_a_session_is_stopped_while_it_is_not_over(
    two: World, api: httpx.AsyncClient
) -> None:
    address = f"/api/v1/sessions/{two.mine['session_id']}"
    for state in SessionState:
        await set_session(two, two.mine["session_id"], state.value)
        answer = await api.post(f"{address}/stop")
        shown = (await api.get(address)).json()["state"]
        if state in SESSION_OVER:
            check_problem(answer, 409, "NOT_RUNNING")
            assert shown == state
        else:
            assert (answer.status_code, shown) == (202, "Stopping"), answer.text
        await changes.change_session(
            two.deps.tables, two.a.scope, two.mine["session_id"],
            lambda found: found.model_copy(update={"stop_requested": False}),
        )  # fmt: skip


@pytest.mark.parametrize("action", ["approve", "cancel"])
async def test_v68_an_erasure_that_is_over_is_neither_approved_nor_cancelled(
    two: World, api: httpx.AsyncClient, action: str
) -> None:
    """Approval and cancellation that are allowed: test_bkp_keeping.py."""
    refused = [ErasureState.DELETED, ErasureState.DONE, ErasureState.CANCELLED]
    if action == "approve":
        refused.append(ErasureState.WAITING)
    for state in refused:
        made = await erasure(two, state)
        address = f"/api/v1/erasures/{made.erasure_id}"
        before = (await api.get(address)).json()
        check_problem(await api.post(f"{address}:{action}"), 409, "ERASURE_NOT_OPEN")
        assert (await api.get(address)).json() == before
        assert before["state"] == state


async def erasure(two: World, state: ErasureState) -> Erasure:
    now = two.deps.clock.now()
    made = Erasure(
        erasure_id=ids.newest_first(two.mine["customer_id"], ERASURE, now),
        partner_id=two.a.scope.partner_id, customer_id=two.mine["customer_id"], subject="kim",
        object_ids=[two.mine["object_id"]], reason="gdpr-17", state=state, requested_by="else",
        requested_at=now, updated_at=now,
    )  # fmt: skip
    await keeping.add(two.deps.tables, made.customer_id, made.erasure_id, made)
    return made


async def test_bkp_04_a_policy_needs_an_active_customer(two: World, api: httpx.AsyncClient) -> None:
    path = f"/api/v1/customers/{two.mine['customer_id']}/policies"
    for state in CustomerState:
        mine = await customers.get(two.deps.tables, two.a.scope, two.mine["customer_id"])
        await customers.save(two.deps.tables, two.a.scope, mine.model_copy(update={"state": state}))
        before: Any = (await api.get(path)).json()
        answer = await api.post(path, json={"name": state.value})
        if state is CustomerState.ACTIVE:
            assert answer.status_code == 201, answer.text
        else:
            check_problem(answer, 409, "CUSTOMER_NOT_READY")
            assert (await api.get(path)).json() == before, state
