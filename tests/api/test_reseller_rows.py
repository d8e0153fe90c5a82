"""Rows of RES through the API, by their ids."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest

from shared.kit import ids
from shared.kit.tables import Table
from shared.licensing.model import Standing
from shared.licensing.repository import TABLE
from shared.licensing.rules import billing
from shared.licensing.standings import save
from shared.protection import repository as protection
from shared.protection.model import Session
from shared.resellers import moving, repository
from tests.api.conftest import check_problem
from tests.api.licensing import Shop, code_of

KIM = {"displayName": "Kim's shop", "email": "kim@below.example"}


class Chain:
    """A partner with a pool of 100, and resellers below it."""

    def __init__(self, above: Shop) -> None:
        self.above = above

    async def open(self) -> "Chain":
        """Allow it to resell, and buy."""
        await allow(self.above, tier2Enabled=True, isReseller=True)
        self.pool = await self.above.buy()
        return self

    async def joined(self) -> tuple[Shop, str]:
        """A partner that was invited and accepted; with its id as a reseller."""
        below = await Shop(self.above.deps, self.above.api, self.above._bearer).open()
        self.above.deps.clock = self.above.clock  # one clock for all
        made = (await self.above.post("/resellers", KIM)).json()
        answer = await below.post("/reseller-invitations:accept", {"token": made["token"]})
        assert answer.status_code == 200, answer.text
        return below, made["id"]

    async def pass_on(self, reseller: str, quantity: int, **headers: str) -> httpx.Response:
        """Seats out."""
        body = {"resellerId": reseller, "quantity": quantity}
        return await self.above.post(f"/pools/{self.pool}:passOn", body, **headers)

    async def take_back(self, reseller: str, quantity: int) -> httpx.Response:
        """Seats back."""
        body = {"resellerId": reseller, "quantity": quantity}
        return await self.above.post(f"/pools/{self.pool}:takeBack", body)

    async def move(self, source: str, target: str, quantity: int, **headers: str) -> httpx.Response:
        """Seats from one to another."""
        body = {"fromResellerId": source, "toResellerId": target, "quantity": quantity}
        return await self.above.post(f"/pools/{self.pool}:move", body, **headers)

    async def adds_up(self, *below: Shop) -> None:
        """What is out is in, and every ledger tells what is stored."""
        mine = await self.above.pool(self.pool)
        theirs = [pool for shop in below for pool in (await shop.get("/pools"))["value"]]
        assert mine["passedOn"] == sum(pool["total"] for pool in theirs)
        for shop in (self.above, *below):
            await shop.adds_up()


async def allow(shop: Shop, **standing: bool) -> None:
    path = f"/api/v1/partners/{shop.partner_id}:setStanding"
    answer = await shop.api.post(path, json=standing, headers=shop.operator)
    assert answer.status_code == 200, answer.text


@pytest.fixture
async def chain(shop: Shop) -> Chain:
    return await Chain(shop).open()


async def test_res_01_a_reseller_is_invited_and_accepts(chain: Chain) -> None:
    shop = chain.above
    answer = await shop.post("/resellers", KIM)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (201, "no-store")
    made = answer.json()
    assert (made["state"], made["partnerId"]) == ("Invited", None)
    assert "token" not in await shop.get(f"/resellers/{made['id']}")
    below = await Shop(shop.deps, shop.api, shop._bearer).open()
    shop.deps.clock = shop.clock
    check_problem(await chain.pass_on(made["id"], 1), 409, "RESELLER_NOT_JOINED")
    accept = "/reseller-invitations:accept"
    own = check_problem(
        await shop.post(accept, {"token": made["token"]}), 422, "RESELLER_OF_ITSELF"
    )
    assert own["errors"][0]["pointer"] == "#/token"
    again = (await shop.post(f"/resellers/{made['id']}:invite")).json()
    old = await below.post(accept, {"token": made["token"]})
    check_problem(old, 400, "INVITATION_INVALID")
    for _ in range(2):  # twice is once
        answer = await below.post(accept, {"token": again["token"]})
        assert answer.json()["abovePartnerId"] == shop.partner_id
    found = await shop.get(f"/resellers/{made['id']}")
    assert (found["state"], found["partnerId"]) == ("Active", below.partner_id)
    check_problem(await shop.post(f"/resellers/{made['id']}:invite"), 409, "RESELLER_JOINED")
    stranger = await Shop(shop.deps, shop.api, shop._bearer).open()
    used = await stranger.post(accept, {"token": again["token"]})
    check_problem(used, 400, "INVITATION_INVALID")


async def test_res_01_an_invitation_expires(chain: Chain) -> None:
    made = (await chain.above.post("/resellers", KIM)).json()
    below = await Shop(chain.above.deps, chain.above.api, chain.above._bearer).open()
    below.clock.advance(timedelta(days=30))
    answer = await below.post("/reseller-invitations:accept", {"token": made["token"]})
    check_problem(answer, 400, "INVITATION_INVALID")


@pytest.mark.parametrize(
    ("standing", "code"),
    [({"isReseller": True}, "TIER2_NOT_ENABLED"), ({"tier2Enabled": True}, "FORBIDDEN")],
)
async def test_res_01_and_06_not_until_it_is_allowed(
    shop: Shop, standing: dict[str, bool], code: str
) -> None:
    pool = await shop.buy()
    await allow(shop, **standing)
    check_problem(await shop.post("/resellers", KIM), 403, code)
    for path in ("/resellers", "/reseller-pools"):
        answer = await shop.api.get(f"/api/v1{path}", headers=shop.headers)
        check_problem(answer, 403, code)
    body = {"resellerId": "x", "quantity": 1}
    check_problem(await shop.post(f"/pools/{pool}:passOn", body), 403, code)


async def test_res_02_listed_edited_removed_and_no_other_s(chain: Chain) -> None:
    shop = chain.above
    first = (await shop.post("/resellers", KIM)).json()["id"]
    below, second = await chain.joined()
    other = await Chain(await Shop(shop.deps, shop.api, shop._bearer).open()).open()
    assert (await other.above.get("/resellers"))["value"] == []
    path = f"/api/v1/resellers/{second}"
    for method in ("GET", "DELETE"):
        sent = other.above.headers | {"If-Match": "*"}
        check_problem(await shop.api.request(method, path, headers=sent), 404, "NOT_FOUND")
    assert {each["id"] for each in (await shop.get("/resellers"))["value"]} == {first, second}
    etag = (await shop.api.get(path, headers=shop.headers)).headers["ETag"]
    sent = shop.headers | {"If-Match": etag}
    renamed = {"displayName": "Kim and sons", "email": "kim@below.example"}
    assert (await shop.api.put(path, json=renamed, headers=sent)).json()["displayName"] == (
        "Kim and sons"
    )
    assert (await shop.api.put(path, json=renamed, headers=sent)).status_code == 412
    await chain.pass_on(second, 5)
    sent = shop.headers | {"If-Match": "*"}
    problem = check_problem(await shop.api.delete(path, headers=sent), 409, "RESELLER_HOLDS_SEATS")
    assert problem["held"] == 5
    await chain.take_back(second, 5)
    assert (await shop.api.delete(path, headers=sent)).status_code == 204
    # Free again: somebody else may have it.
    token = (await other.above.post("/resellers", KIM)).json()["token"]
    assert code_of(await below.post("/reseller-invitations:accept", {"token": token})) == ""


async def test_res_02_one_above_at_most(chain: Chain) -> None:
    below, _ = await chain.joined()
    shop = chain.above
    other = await Chain(await Shop(shop.deps, shop.api, shop._bearer).open()).open()
    token = (await other.above.post("/resellers", KIM)).json()["token"]
    answer = await below.post("/reseller-invitations:accept", {"token": token})
    check_problem(answer, 409, "RESELLER_OF_ANOTHER")


async def test_res_03_total_passed_on_and_left(chain: Chain) -> None:
    _, one = await chain.joined()
    _, two = await chain.joined()
    await chain.pass_on(one, 40)
    await chain.pass_on(two, 10)
    [pool] = (await chain.above.get("/reseller-pools"))["value"]
    assert (pool["total"], pool["passedOn"], pool["left"]) == (100, 50, 50)
    [share] = (await chain.above.get(f"/resellers/{one}/pools"))["value"]
    assert (share["poolId"], share["passedOn"], share["end"]) == (chain.pool, 40, "2026-12-31")


async def test_res_04_passed_on_once_under_one_key(chain: Chain) -> None:
    below, one = await chain.joined()
    for _ in range(2):
        answer = await chain.pass_on(one, 40, **{"Idempotency-Key": "job"})
        assert answer.json()["pool"]["available"] == 60, answer.text
    [theirs] = (await below.get("/pools"))["value"]
    assert (theirs["total"], theirs["available"]) == (40, 40)
    problem = check_problem(await chain.pass_on(one, 61), 409, "POOL_EXHAUSTED")
    assert problem["errors"][0]["pointer"] == "#/quantity"
    check_problem(await chain.pass_on("nobody", 1), 404, "NOT_FOUND")
    await chain.adds_up(below)


async def test_res_05_assigning_below_leaves_the_partner_above_alone(chain: Chain) -> None:
    below, one = await chain.joined()
    await chain.pass_on(one, 40)
    before = await chain.above.pool(chain.pool)
    await below.assigned(10)
    assert await chain.above.pool(chain.pool) == before
    [theirs] = (await below.get("/pools"))["value"]
    assert theirs["available"] == 30
    problem = check_problem(await below.verb("increase", {"quantity": 31}), 409, "POOL_EXHAUSTED")
    assert problem["rule"] == "LIC-04"


async def test_res_07_the_partner_above_pays_for_all(chain: Chain) -> None:
    below, one = await chain.joined()
    await chain.pass_on(one, 40)
    await below.assigned(10)
    ledgers = chain.above.deps.ledgers
    lines = {}
    for shop in (chain.above, below):
        book = (await ledgers.load(shop.scope)).book
        lines[shop.partner_id] = billing.reseller_lines(book.pools.values())
    assert lines == {chain.above.partner_id: [(chain.pool, 100)], below.partner_id: []}


async def test_res_08_it_inherits_and_never_outlives(chain: Chain) -> None:
    below, one = await chain.joined()
    await chain.pass_on(one, 40)
    mine, [theirs] = await chain.above.pool(chain.pool), (await below.get("/pools"))["value"]
    for name in ("item", "source", "paymentType", "paymentOption", "channel", "end"):
        assert theirs[name] == mine[name]
    await below.assigned(5)
    order = {"orderId": "order1", "action": "cancel", "end": "2026-05-31"}
    assert (await chain.above.operate("/pools:changeOrder", order)).status_code == 200
    [theirs] = (await below.get("/pools"))["value"]
    assert theirs["end"] == "2026-05-31"
    assert (await below.sub())["expiresOn"] == "2026-05-31"
    await chain.adds_up(below)


async def test_res_09_only_free_seats_come_back(chain: Chain) -> None:
    below, one = await chain.joined()
    await chain.pass_on(one, 40)
    await below.assigned(30)
    problem = check_problem(await chain.take_back(one, 20), 409, "POOL_EXHAUSTED")
    assert (problem["rule"], problem["available"]) == ("RES-09", 10)
    answer = await chain.take_back(one, 10)
    assert answer.json()["pool"]["available"] == 70
    await chain.adds_up(below)


async def test_res_09_moved_from_one_reseller_to_another(chain: Chain) -> None:
    first, one = await chain.joined()
    second, two = await chain.joined()
    await chain.pass_on(one, 40)
    await first.assigned(30)
    check_problem(await chain.move(one, two, 11), 409, "POOL_EXHAUSTED")
    for _ in range(2):
        answer = await chain.move(one, two, 10, **{"Idempotency-Key": "m"})
        assert answer.json()["pool"]["passedOn"] == 40, answer.text
    assert [(await shop.get("/pools"))["value"][0]["total"] for shop in (first, second)] == [30, 10]
    await chain.adds_up(first, second)


async def cut_off(chain: Chain, monkeypatch: pytest.MonkeyPatch, after: int, work: Any) -> None:
    """The worker dies after so many commits of the ledgers."""
    whole, written = Table.batch, 0

    async def dying(table: Table, changes: Any) -> None:
        nonlocal written
        await whole(table, changes)
        written += any(row.key == "head" for _, row in changes)
        if written == after:
            raise ConnectionResetError

    with monkeypatch.context() as crash:
        crash.setattr(Table, "batch", dying)
        answer = await work
    assert answer.status_code == 500, answer.text


@pytest.mark.parametrize("after", range(1, 7))
async def test_res_09_a_move_cut_off_anywhere_is_ended_by_the_clock(
    chain: Chain, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """Six commits: three of each half."""
    first, one = await chain.joined()
    second, two = await chain.joined()
    await chain.pass_on(one, 40)
    await cut_off(chain, monkeypatch, after, chain.move(one, two, 15))
    await moving.finish_everywhere(chain.above.deps)
    assert await repository.moves(chain.above.deps.tables, chain.above.scope) == []
    assert [(await shop.get("/pools"))["value"][0]["total"] for shop in (first, second)] == [25, 15]
    await chain.adds_up(first, second)
    assert chain.above.partner_id not in await moving.finish_everywhere(chain.above.deps)


async def test_res_09_a_pool_that_closes_in_the_middle_keeps_the_seats(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, one = await chain.joined()
    second, two = await chain.joined()
    await chain.pass_on(one, 40)
    await cut_off(chain, monkeypatch, 3, chain.move(one, two, 15))
    order = {"orderId": "order1", "action": "suspend"}
    assert (await chain.above.operate("/pools:changeOrder", order)).status_code == 200
    check_problem(await chain.move(one, two, 15), 409, "POOL_NOT_ACTIVE")
    await moving.finish_everywhere(chain.above.deps)
    assert await repository.moves(chain.above.deps.tables, chain.above.scope) == []
    await chain.adds_up(first, second)
    assert (await chain.above.pool(chain.pool))["available"] == 75


async def test_res_10_two_areas_that_do_not_see_each_other(chain: Chain, bearer: Any) -> None:
    """Who works with resellers only sees no customer; who has customers only, no reseller."""
    shop = chain.above
    below, one = await chain.joined()
    await chain.pass_on(one, 40)
    await below.assigned(10)
    shown = str(await shop.get(f"/resellers/{one}/pools")) + str(await shop.get("/ledger"))
    assert below.customer not in shown
    answer = await shop.api.get(
        f"/api/v1/customers/{below.customer}/subscriptions", headers=shop.headers
    )
    check_problem(answer, 404, "NOT_FOUND")
    role = {"name": "Resale", "permissions": ["ResellerManagement"], "areas": ["licences"]}
    made = (await shop.post("/roles", role)).json()
    person = {
        "email": "rae@above.example", "firstName": "Rae", "lastName": "R", "roleIds": [made["id"]],
    }  # fmt: skip
    assert code_of(await shop.post("/users", person)) == ""
    rae = bearer(
        shop.tenant, idtyp=None, scp="openid access_as_user", azpacr="0", azp="portal",
        oid="rae", preferred_username="rae@above.example",
    )  # fmt: skip
    assert (await shop.api.get("/api/v1/resellers", headers=rae)).status_code == 200
    for path in ("/customers", f"/customers/{shop.customer}", "/pools"):
        answer = await shop.api.get(f"/api/v1{path}", headers=rae)
        check_problem(answer, 403, "PERMISSION_MISSING")


async def test_res_11_jobs_are_counted_per_account(chain: Chain) -> None:
    below, _ = await chain.joined()
    for shop, jobs in ((chain.above, 3), (below, 5)):
        for number in range(jobs):
            at = datetime(2026, 1, 1 + number, tzinfo=UTC)
            session = Session(
                session_id=ids.newest_first(shop.customer, ids.SESSION, at),
                partner_id=shop.partner_id, customer_id=shop.customer,
                policy_id=ids.policy_id(shop.customer), trigger="Manual",
                created_at=at, updated_at=at,
            )  # fmt: skip
            await protection.add_session(shop.deps.tables, shop.scope, session)
    for shop, jobs in ((chain.above, 3), (below, 5)):
        found = await shop.get("/activity?month=2026-01")
        assert (found["jobs"], found["restores"]) == (jobs, 0)
        assert sum(found["jobsByState"].values()) == jobs
        assert (await shop.get("/activity?month=2025-12"))["jobs"] == 0


async def test_what_rests_is_not_passed_on(chain: Chain) -> None:
    """LIC-55: suspended for missing usage reports."""
    _, one = await chain.joined()
    standing = Standing(licence_management_suspended=True, tier2_enabled=True, is_reseller=True)
    await save(chain.above.deps.tables[TABLE], chain.above.scope, standing)
    check_problem(await chain.pass_on(one, 1), 403, "LICENSE_MANAGEMENT_SUSPENDED")
    assert len((await chain.above.get("/resellers"))["value"]) == 1
    chain.above.day(date(2026, 2, 1))
