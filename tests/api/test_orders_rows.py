"""The rows of area MKT, each through the API: signed documents, marketplaces, reports."""

from datetime import date, timedelta
from itertools import product
from typing import Any

import pytest
import pytest_asyncio

from shared.catalogue.model import Channel, PaymentModel
from shared.licensing.model import PaymentOption
from tests.api.market import FLY, MONTHLY, Market, Seller

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALLOWED = {
    ("Prepaid", "Direct", "AnnualUpfront"),
    ("Prepaid", "Marketplace", "Monthly"),
    ("Prepaid", "Marketplace", "AnnualPaidMonthly"),
    ("Prepaid", "Marketplace", "AnnualUpfront"),
    ("Prepaid", "OffMarketplace", "AnnualUpfront"),
    ("Payg", "Direct", "Monthly"),
}


@pytest_asyncio.fixture(loop_scope="module")
async def distributor(market: Market) -> Seller:
    """A distributor outside marketplaces."""
    return await Seller(
        market, "OffMarketplace", f"also-{market.scope.partner_id[:8]}", "ALSO"
    ).register()


@pytest_asyncio.fixture(loop_scope="module")
async def direct(market: Market) -> Seller:
    """Our own sales."""
    return await Seller(
        market, "Direct", f"direct-{market.scope.partner_id[:8]}", "Direct"
    ).register()


def code(answer: Any) -> str:
    return str(answer.headers.get("X-Error-Code", ""))


async def test_mkt_01_another_channel_is_refused(distributor: Seller) -> None:
    for channel in ("Bazaar", "Direct"):  # unknown, and not the key's
        answer = await distributor.send(distributor.document(channel=channel))
        assert (answer.status_code, code(answer)) == (400, "INVALID_INPUT")
    assert await distributor.market.pools() == []


async def test_mkt_02_exactly_six_of_eighteen_combinations_pass(market: Market) -> None:
    passed = set()
    for channel in Channel:
        source = f"s{channel.value.lower()}-{market.partner_id[:6]}"
        seller = await Seller(market, channel, source, source).register()
        for number, (model, option) in enumerate(product(PaymentModel, PaymentOption)):
            document = seller.document(
                f"po-{number}", paymentType=model.value, paymentOption=option.value
            )
            answer = await seller.send(document)
            if answer.status_code == 200:
                passed.add((model.value, channel.value, option.value))
            else:
                assert (answer.status_code, code(answer)) == (422, "PAYMENT_OPTION_NOT_ALLOWED")
    assert passed == ALLOWED
    assert len(await market.pools()) == len(ALLOWED)


async def test_mkt_03_lic_33_marketplaces_sell_prepaid_only(market: Market) -> None:
    seller = await Seller(market, "Marketplace", f"m-{market.partner_id[:8]}", "M").register()
    answer = await seller.send(seller.document(paymentType="Payg", paymentOption="Monthly"))
    assert (answer.status_code, code(answer)) == (422, "PAYMENT_OPTION_NOT_ALLOWED")
    assert await market.pools() == []


async def test_mkt_04_direct_is_not_sold_by_the_month(direct: Seller) -> None:
    answer = await direct.send(direct.document(paymentOption="Monthly"))
    assert (answer.status_code, code(answer)) == (422, "PAYMENT_OPTION_NOT_ALLOWED")


async def test_mkt_05_paid_monthly_is_committed_for_the_year(market: Market) -> None:
    external = await market.bought(100, "apm")
    made = await market.change(external, quantity=80)
    assert (made.status, (await market.pool())["total"]) == ("Failed", 100)


async def test_mkt_06_what_the_marketplace_list_lacks_is_parked(market: Market) -> None:
    external = await market.buy(10, "cgv-yearly")
    await market.land()
    (parked,) = await market.parked(external)
    assert parked["code"] == "NOT_POOLABLE_ON_CHANNEL"
    assert market.sold(external).state == "PendingFulfillmentStart"
    await market.land()  # and again: the partner is told once
    noticed = (await market.get("/notices", market.headers))["value"]
    told = [(each["kind"], each["what"]["externalId"], each["what"]["code"]) for each in noticed]
    assert told == [("orderParked", external, "NOT_POOLABLE_ON_CHANNEL")]


async def test_mkt_07_one_order_per_external_id(distributor: Seller) -> None:
    document = distributor.document("po-7", customer={"displayName": "Contoso"})
    answers = [await distributor.send(document) for _ in range(3)]
    assert [answer.json()["isNew"] for answer in answers] == [True, False, False]
    market = distributor.market
    assert len(await market.pools()) == 1
    customers = (await market.get("/customers", market.headers))["value"]
    assert [each["externalId"] for each in customers] == ["po-7"]
    changed = {**document, "quantity": 99}
    assert (await distributor.send(changed)).status_code == 409  # the id stands for another one


async def test_mkt_08_the_channel_is_the_customers_source_type(distributor: Seller) -> None:
    await distributor.send(distributor.document(customer={"displayName": "Contoso"}))
    market = distributor.market
    (customer,) = (await market.get("/customers", market.headers))["value"]
    assert customer["sourceType"] == "ALSO"


async def test_mkt_09_lic_47_a_cancelled_order_cuts_every_expiry_once(
    distributor: Seller,
) -> None:
    market = distributor.market
    await distributor.send(distributor.document())
    customer = await market.api.post(
        "/customers", json={"displayName": "C"}, headers=market.headers
    )
    path = f"/customers/{customer.json()['id']}/subscriptions"
    body = {"slot": "CBM-M365", "quantity": 5, "source": "ALSO"}
    given = await market.api.post(path, json=body, headers=market.headers)
    assert given.status_code == 201, given.text
    last = market.deps.clock.now().date() + timedelta(days=10)  # even before day 31
    cancel = distributor.document(status="Cancelled", cancelledOn=last.isoformat())
    for _ in range(2):
        assert (await distributor.send(cancel)).status_code == 200
    assert (await market.pool())["end"] == last.isoformat()
    held = await market.get(f"{path}/CBM-M365", market.headers)
    assert held["expiresOn"] == last.isoformat()
    told = await market.explained("po-1", distributor.source)
    assert [n["kind"] for e in told["entries"] for n in e["notices"]] == ["orderCancelled"]
    assert (await distributor.order())["state"] == "Cancelled"
    noticed = (await market.get("/notices", market.headers))["value"]  # the partner is notified
    (notice,) = [each for each in noticed if each["kind"] == "orderCancelled"]
    assert (notice["rule"], notice["what"]["on"]) == ("LIC-47", last.isoformat())
    await market.adds_up()


async def test_mkt_10_every_event_of_a_seller_moves_the_pool(distributor: Seller) -> None:
    market, send, doc = distributor.market, distributor.send, distributor.document
    later = (market.deps.clock.now().date() + timedelta(days=800)).isoformat()
    steps = [
        ({}, "Active", 50),
        ({"quantity": 70}, "Active", 70),
        ({"quantity": 70, "status": "Suspended"}, "Suspended", 70),
        ({"quantity": 70}, "Active", 70),
        ({"quantity": 60}, "ChangeRefused", 70),
        ({"quantity": 70, "end": later}, "Active", 70),
    ]
    for changed, state, total in steps:
        assert (await send(doc(**changed))).status_code == 200
        pool = await market.pool()
        assert ((await distributor.order())["state"], pool["total"]) == (state, total)
        assert (pool["phase"] == "Suspended") == (state == "Suspended")
    assert pool["end"] == later
    forged = Seller(market, "OffMarketplace", distributor.source, "ALSO")
    forged.key_id = distributor.key_id  # another private key under the registered name
    assert (await forged.send(doc(quantity=1000))).status_code == 401
    assert (await send(doc(quantity=1000), sha256="0" * 64)).status_code == 401
    assert (await send(doc(quantity=1000), aud="elsewhere")).status_code == 401
    assert (await send(doc(quantity=1000), exp=1)).status_code == 401
    assert (await send(doc(quantity=1000), exp=4_000_000_000)).status_code == 401
    assert (await market.pool())["total"] == 70


async def test_mkt_10_documents_in_any_order_end_the_same(distributor: Seller) -> None:
    market = distributor.market
    first, second, third = (distributor.document(quantity=n) for n in (50, 60, 90))
    for document in (first, third, second, first, third):
        assert (await distributor.send(document)).status_code == 200
    assert (await market.pool())["total"] == 90
    again = {**second, "documentId": "other", "sequence": third["sequence"]}
    await distributor.send(again)  # a sequence stands for one document
    assert (await distributor.order())["code"] == "SEQUENCE_REUSED"
    assert (await market.pool())["total"] == 90


async def test_mkt_10_a_revoked_key_tells_nothing(distributor: Seller) -> None:
    market = distributor.market
    path = f"/channel-keys/{distributor.key_id}:revoke"
    assert (await market.api.post(path, headers=market.headers)).status_code == 403
    assert (await market.api.post(path, headers=market.operator)).status_code == 200
    answer = await distributor.send(distributor.document())
    assert (answer.status_code, code(answer)) == (403, "CHANNEL_CALLER_FOREIGN")


async def test_mkt_11_purchases_merge_but_not_fly(market: Market) -> None:
    await market.bought(30)
    await market.bought(20)
    assert (await market.pool())["total"] == 50
    await market.bought(5, FLY)
    await market.bought(6, FLY)
    fly = [pool["total"] for pool in await market.pools() if pool["item"] == "FLY-AVIATOR"]
    assert sorted(fly) == [5, 6]


async def test_mkt_12_lic_27_the_quantity_of_a_renewal_is_the_new_total(market: Market) -> None:
    external = await market.bought(100, MONTHLY)
    await market.operate(external, "Renew", quantity=70)
    assert (await market.pool())["total"] == 70
    await market.operate(external, "Renew", quantity=90)
    assert (await market.pool())["total"] == 90


async def test_mkt_13_an_order_brings_its_customer_pending(distributor: Seller) -> None:
    document = distributor.document(customer={"displayName": "New customer"})
    await distributor.send(document)
    market = distributor.market
    (customer,) = (await market.get("/customers", market.headers))["value"]
    assert (customer["displayName"], customer["state"]) == ("New customer", "Pending")
    assert (await distributor.order())["customerId"] == customer["id"]
    assert (await market.pool())["total"] == 50


async def test_amb_38_an_order_that_nobody_can_cancel_binds_its_customer(
    distributor: Seller,
) -> None:
    await distributor.send(distributor.document(customer={"displayName": "New customer"}))
    market = distributor.market
    (customer,) = (await market.get("/customers", market.headers))["value"]
    path = f"/customers/{customer['id']}"
    ends = date.fromisoformat((await market.pool())["end"])
    after = (ends + timedelta(days=1)).isoformat()
    asked = {"change": {"verb": "disconnect"}}
    told = await market.api.post(
        f"{path}/subscriptions:preview", json=asked, headers=market.headers
    )
    assert told.json()["refusal"]["firstAllowedOn"] == after, told.text
    gone = {"json": {"confirmed": True}, "headers": market.headers}
    answer = await market.api.post(f"{path}:disconnect", **gone)
    assert (answer.status_code, code(answer)) == (409, "ORDER_BINDS_CUSTOMER")
    assert (answer.json()["rule"], answer.json()["firstAllowedOn"]) == ("AMB-38", after)
    # Another customer of the same partner is not bound by it.
    other = await market.api.post("/customers", json={"displayName": "C"}, headers=market.headers)
    answer = await market.api.post(f"/customers/{other.json()['id']}:disconnect", **gone)
    assert answer.status_code == 200, answer.text
    # The distributor itself ends the order; the day after, nothing binds any more.
    last = market.deps.clock.now().date() - timedelta(days=1)
    cancel = distributor.document(status="Cancelled", cancelledOn=last.isoformat())
    assert (await distributor.send(cancel)).status_code == 200
    answer = await market.api.post(f"{path}:disconnect", **gone)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("left_out", ["contractEffective", "end"])
async def test_mkt_16_without_term_or_effective_date_400(direct: Seller, left_out: str) -> None:
    answer = await direct.send(direct.document(**{left_out: None}))
    assert (answer.status_code, code(answer)) == (400, "INVALID_INPUT")
    assert left_out in answer.json()["detail"]
    assert await direct.market.pools() == []


async def test_mkt_13_a_partner_nobody_knows_is_parked_until_the_operator_binds_it(
    distributor: Seller,
) -> None:
    market = distributor.market
    stranger = "77777777-0000-0000-0000-000000000000"
    sent = await distributor.send(distributor.document(partnerTenantId=stranger))
    assert sent.status_code == 200
    (parked,) = [o for o in await market.parked() if o["source"] == distributor.source]
    assert (parked["code"], parked["partnerId"]) == ("PARTNER_UNKNOWN", None)
    assert stranger in parked["reason"]
    path, body = f"/orders/{parked['id']}:bind", {"partnerId": market.partner_id}
    nobody = await market.api.post(path, json={"partnerId": "none"}, headers=market.operator)
    assert nobody.status_code == 404
    for _ in range(2):
        answer = await market.api.post(path, json=body, headers=market.operator)
        assert answer.status_code == 200
        await market.processes.rest()
    order = await distributor.order()
    assert (order["state"], order["partnerId"]) == ("Active", market.partner_id)
    assert (await market.pool())["total"] == 50


async def test_mkt_16_the_pool_ends_as_the_contract_does(direct: Seller) -> None:
    today = direct.market.deps.clock.now().date()
    end = date(today.year + 1, today.month, 28) + timedelta(days=30)
    await direct.send(direct.document(end=end.isoformat()))
    pool = await direct.market.pool()
    assert (pool["start"], pool["end"]) == (today.isoformat(), end.isoformat())
    short = await direct.send(direct.document("po-2", end=(today + timedelta(days=99)).isoformat()))
    assert (short.status_code, code(short)) == (422, "TERM_TOO_SHORT")


async def test_mkt_17_giving_seats_needs_no_order(market: Market) -> None:
    await market.bought(30)
    customer = await market.api.post(
        "/customers", json={"displayName": "C"}, headers=market.headers
    )
    body = {"slot": "CBM-M365", "quantity": 5, "source": "Microsoft"}
    before = await market.get("/orders", market.headers)
    path = f"/customers/{customer.json()['id']}/subscriptions"
    given = await market.api.post(path, json=body, headers=market.headers)
    assert (given.status_code, given.json()["subscription"]["state"]) == (201, "Active")
    assert await market.get("/orders", market.headers) == before


async def test_mkt_18_orders_lie_in_the_partners_own_storage(market: Market) -> None:
    external = await market.bought(30)
    listed = (await market.get("/orders", market.headers))["value"]
    assert [order["externalId"] for order in listed] == [external]
    table = market.deps.tables["Marketplace"]
    rows = [row.key async for row in table.query(f"partner~{market.partner_id}")]
    assert rows == [listed[0]["id"]]


async def test_orders_are_their_partners_own(market: Market, bearer: Any) -> None:
    external = await market.bought(30)
    order = (await market.order(external))["id"]
    other = bearer("22222222-2222-3333-4444-555555555555")
    for path in (f"/orders/{order}", f"/orders/{order}/explain", f"/orders/{order}/metering"):
        assert (await market.api.get(path, headers=other)).status_code == 404
    assert (await market.api.post(f"/orders/{order}:retry", headers=other)).status_code == 404
    body = {"partnerId": market.partner_id}
    denied = await market.api.post(f"/orders/{order}:bind", json=body, headers=market.headers)
    assert denied.status_code == 403


async def test_the_published_schema_admits_what_the_door_admits(direct: Seller) -> None:
    from jsonschema import Draft202012Validator

    schema = await direct.market.get("/order-schema")
    Draft202012Validator.check_schema(schema)
    checker = Draft202012Validator(schema)
    good = direct.document()
    assert list(checker.iter_errors(good)) == []
    bad = [{**good, "quantity": 0}, {**good, "channel": "x"}, {**good, "novelty": 1}]
    assert all(list(checker.iter_errors(each)) for each in bad)
    assert [(await direct.send(each)).status_code for each in bad] == [400, 400, 400]
