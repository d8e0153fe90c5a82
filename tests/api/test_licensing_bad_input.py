"""Bad input on every licensing route: each wrong field names itself, and nothing changes at all.

Every member of every good body is spoiled in every way that its kind can be, so a request that
passes 49 of 50 checks is among them.
"""

import copy
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from shared.licensing import brake
from shared.licensing.refusals import MassChange
from shared.licensing.repository import TABLE
from tests.api.conftest import RecordedClient, check_problem
from tests.api.licensing import SLOT, Shop
from tests.api.test_reseller_rows import Chain, allow

MARKET = {"channel": "Marketplace", "source": "CloudBlue"}
TERMS: dict[str, Any] = {
    "source": "Direct", "paymentType": "Prepaid", "quantity": 3, "mode": "Manual",
    "expiration": "SpecifiedDate", "expiresOn": "2026-06-30", "contractEndDate": "2026-09-30",
    "settings": {},
}  # fmt: skip
ORDER: dict[str, Any] = {
    "orderId": "order9", "item": SLOT, "quantity": 5, "channel": "Direct", "source": "Direct",
    "paymentType": "Prepaid", "paymentOption": "AnnualUpfront", "contractEffective": "2026-01-01",
    "start": "2026-01-01", "end": "2026-12-31", "name": "Ours", "entitlements": {},
}  # fmt: skip
ONE = {"subscriptionId": SLOT}
SWITCH = {"source": "CloudBlue", "expiration": "SpecifiedDate", "expiresOn": "2026-06-30"}
CHANGE = {"orderId": "order1", "action": "quantity", "quantity": 120, "end": "2027-12-31"}

ASSIGN = {"verb": "assign", "slot": SLOT, "type": "Subscription", **TERMS}
SEATS = {"resellerId": "{r}", "quantity": 1}

# Route -> a good body. `{c}` is the customer, `{p}` its pool; the operator's are told apart.
PARTNER: dict[str, dict[str, Any]] = {
    "/customers/{other}/subscriptions": {"slot": SLOT, "type": "Subscription", **TERMS},
    "/customers/{c}/subscriptions/CBM-M365:increase": {"quantity": 1},
    "/customers/{c}/subscriptions/CBM-M365:reduce": {"quantity": 1},
    "/customers/{c}/subscriptions/CBM-M365:setQuantity": {"quantity": 31},
    "/customers/{c}/subscriptions/CBM-M365:setMode": {"mode": "AutoAdjusted"},
    "/customers/{c}/subscriptions/CBM-M365:setExpiration": {
        "expiration": "SpecifiedDate", "expiresOn": "2026-06-30",
    },
    "/customers/{c}/subscriptions/CBM-M365:switchSource": SWITCH,
    "/customers/{trial}/subscriptions/CBM-M365:convert": TERMS,
    "/customers/{other}/subscriptions:preview": {
        "change": {"verb": "assign", "slot": SLOT, "type": "Subscription", **TERMS},
    },
    "/customers/{c}:disconnect": {"confirmed": True},
    "PATCH /customers/{c}/subscriptions/CBM-M365": {
        "settings": {}, "contractEndDate": "2026-09-30",
    },
    "/subscriptions:batchEdit": {"customerIds": ["{other}"], "change": ASSIGN},
    "/subscriptions:previewBatch": {"customerIds": ["{other}"], "change": ASSIGN},
    "/licence-adjustment:approve": {"wouldMove": 28},
    "/resellers": {"displayName": "Kim", "email": "kim@below.example"},
    "/pools/{p}:passOn": SEATS,
    "/pools/{p}:takeBack": SEATS,
    "/pools/{p}:move": {"fromResellerId": "{r}", "toResellerId": "{r2}", "quantity": 1},
    "/pools/{p}:previewTransfer": {"verb": "passOn", **SEATS},
    "/pools/{p}:cancel": {"orderId": "order1", "end": "2026-12-31"},
    "/pools/{p}:previewCancel": {"orderId": "order1", "end": "2026-12-31"},
}  # fmt: skip
OPERATOR: dict[str, dict[str, Any]] = {
    "/pools": {"partnerId": "{partner}", **ORDER},
    "/pools:changeOrder": {"partnerId": "{partner}", **CHANGE},
    "/pools:preview": {"change": {"verb": "order", "partnerId": "{partner}", **ORDER}},
    "/licence-interventions": {
        "partnerId": "{partner}", "customerId": "{c}",
        "change": {"verb": "endEarly", **ONE, "reason": "Because."},
    },
    "/licence-interventions:preview": {
        "partnerId": "{partner}", "customerId": "{c}",
        "change": {"verb": "noteConsumption", **ONE, "consumed": 3},
    },
    "/partners/{partner}:setStanding": {"tier2Enabled": True, "isReseller": True},
}  # fmt: skip
ROUTES = {**PARTNER, **OPERATOR}
# Names of things that may be anything well-formed: unknown ones are refused with their own codes.
FREE = {"partnerId", "customerId", "subscriptionId"}
# Ids of one spelling: another is refused where it stands.
IDS = {"resellerId", "fromResellerId", "toResellerId"}


def spoiled(name: str, good: Any) -> list[Any]:
    """Everything that the member cannot be."""
    if isinstance(good, bool):
        return ["yes", 2, None]
    if isinstance(good, int):
        return ["1", 1.5, -1, 10**12, True, [1]]
    if isinstance(good, dict):
        return ["{}", [1], 7]
    if isinstance(good, list):
        return ["x", 7, {}, [7], [None]]
    if name in {"expiresOn", "contractEndDate", "contractEffective", "start", "end"}:
        return ["soon", "2026-02-30", "30.6.2026", 7, {}]
    if name in FREE or name in IDS:
        return [7, {}]
    if name in {"source", "name", "orderId", "reason", "displayName"}:
        return ["", "x\x00", "x" * 501, 7, []]
    return ["", "nonsense!", 7, ["x"]]


def wrong(body: dict[str, Any], at: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Pointer of the wrong member and the body with it; one unknown member as well."""
    for name, good in body.items():
        here = f"{at}/{name}"
        if isinstance(good, dict) and good:
            for pointer, inner in wrong(good, here):
                yield pointer, {**body, name: inner}
        for bad in spoiled(name, good):
            yield here, {**copy.deepcopy(body), name: bad}
    yield f"{at}/colour", {**copy.deepcopy(body), "colour": "blue"}


class Counter:
    """The shop with a customer that holds seats, one on trial and one with nothing."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop

    async def open(self) -> "Counter":
        """Buy and assign."""
        shop = self.shop
        pool = await shop.buy()
        await shop.buy(**MARKET)
        await shop.assigned(30)
        self.names = {"c": shop.customer, "p": pool, "partner": shop.partner_id}
        path = f"/api/v1/customers/{shop.customer}/subscriptions/{SLOT}"
        self.etag = (await shop.api.get(path, headers=shop.headers)).headers["ETag"]
        shop.customer = self.names["trial"] = await shop.add_customer()
        await shop.assigned(None, type="Trial")
        self.names["other"] = await shop.add_customer()
        chain = Chain(shop)
        await allow(shop, tier2Enabled=True, isReseller=True)
        chain.pool = pool
        _, self.names["r"] = await chain.joined()
        _, self.names["r2"] = await chain.joined()
        assert (await chain.pass_on(self.names["r"], 5)).status_code == 200
        stopped = MassChange("too much", rule="beyond 8", wouldMove=28, limit=10)
        await brake.ask(shop.deps.tables[TABLE], shop.scope, stopped, shop.clock.now())
        return self

    async def send(self, route: str, body: dict[str, Any]) -> httpx.Response:
        """To the route, by whom it is for."""
        told = self._filled(body)
        headers = self.shop.operator if route in OPERATOR else self.shop.headers
        if route.startswith("PATCH "):
            headers = {**headers, "If-Match": self.etag}
        verb, _, where = route.rpartition(" ")
        path = f"/api/v1{where.format(**self.names)}"
        return await self.shop.api.request(verb or "POST", path, json=told, headers=headers)

    def _filled(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._filled(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self._filled(each) for each in value]
        if isinstance(value, str) and value[:1] == "{":
            return self.names.get(value[1:-1], value)
        return value


@pytest.fixture
async def counter(shop: Shop, durable: RecordedClient) -> Counter:
    return await Counter(shop).open()


@pytest.mark.parametrize("route", ROUTES)
async def test_every_wrong_field_names_itself_and_changes_nothing(
    counter: Counter, route: str
) -> None:
    before = await counter.shop.state()
    silent = []
    for pointer, body in wrong(ROUTES[route]):
        answer = await counter.send(route, body)
        problem = check_problem(answer, 400, "INVALID_INPUT")
        named = [error["pointer"] for error in problem["errors"]]
        if not any(each.startswith(f"#{pointer}") for each in named):
            silent.append((pointer, body, named))
    assert silent == []
    assert await counter.shop.state() == before
    # The same body, unspoiled, passes every check but that of time; else this would prove nothing.
    good = await counter.send(route, ROUTES[route])
    assert good.status_code < 300 or good.headers["X-Error-Code"] == "LIC_MIN_TERM", good.text


async def test_several_wrong_fields_are_all_named(counter: Counter) -> None:
    body = {**ORDER, "partnerId": "{partner}", "quantity": 0, "end": "never", "size": 1}
    problem = check_problem(await counter.send("/pools", body), 400, "INVALID_INPUT")
    named = {error["pointer"] for error in problem["errors"]}
    assert named == {"#/quantity", "#/end", "#/size"}


@pytest.mark.parametrize(
    ("route", "missing", "pointer"),
    [
        ("/pools", "item", "#/item"),
        ("/pools:preview", "item", "#/change/item"),
        ("/customers/{other}/subscriptions:preview", "slot", "#/change/slot"),
        ("/licence-interventions", "reason", "#/change/reason"),
        ("/licence-interventions", "verb", "#/change/verb"),
        ("/licence-interventions", "customerId", "#/customerId"),
    ],
)
async def test_what_is_missing_is_named(
    counter: Counter, route: str, missing: str, pointer: str
) -> None:
    body = copy.deepcopy(ROUTES[route])
    for part in (body, body.get("change", {})):
        part.pop(missing, None)
    problem = check_problem(await counter.send(route, body), 400, "INVALID_INPUT")
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


async def test_the_rules_name_fields_too(counter: Counter) -> None:
    """What only the rules can know: settings of the catalogue, days of the pool."""
    shop = counter.shop
    shop.customer = counter.names["other"]
    before = await shop.state()
    for body, pointers in (
        ({"settings": {"colour": 1, "size": 2}}, {"#/settings/colour", "#/settings/size"}),
        ({"expiresOn": "2027-01-01"}, {"#/expiresOn"}),
        ({"expiration": "SameAsPool", "expiresOn": "2026-06-30"}, {"#/expiresOn"}),
        ({"slot": "NO-SUCH"}, {"#/slot"}),
        ({"quantity": 66}, {"#/quantity"}),
    ):
        answer = await shop.assign(**{"quantity": 1, **body})
        assert answer.status_code >= 400, answer.text
        assert {error["pointer"] for error in answer.json()["errors"]} == pointers, answer.text
        assert await shop.state() == before
