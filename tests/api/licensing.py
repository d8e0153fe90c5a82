"""Licensing as its callers see it: a partner, a customer, the operator, a clock to move."""

import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from typing import Any

import httpx

from shared.access.model import Client, Scope
from shared.access.service import register_partner
from shared.bootstrap import Deps
from shared.customers import repository as customers
from shared.customers.model import Customer, CustomerState
from shared.kit import ids
from shared.kit.clock import FixedClock
from shared.licensing import service
from shared.licensing.repository import TABLE

SLOT = "CBM-M365"


class Shop:
    """Words of tests: buy, assign, ask; `day` moves time."""

    def __init__(self, deps: Deps, api: httpx.AsyncClient, bearer: Callable[..., Any]) -> None:
        self.deps, self.api, self._bearer = deps, api, bearer
        self.clock = FixedClock(datetime(2026, 1, 1, tzinfo=UTC))
        deps.clock = self.clock  # before anything is opened that keeps it
        self.tenant = str(uuid.uuid4())
        self.orders = 0

    async def open(self) -> "Shop":
        """Register both sides and a customer."""
        operator = str(uuid.uuid4())
        await register_partner(
            self.deps, operator, "Operator", [Client("operator", is_operator=True)]
        )
        found = await register_partner(self.deps, self.tenant, "Partner", ["shop"])
        self.partner_id = found.partner_id
        self.scope = Scope(found.partner_id)
        self.operator = self._bearer(operator, azp="operator")
        self.headers = self._bearer(self.tenant, azp="shop")
        self.customer = await self.add_customer()
        return self

    async def add_customer(self, **changed: Any) -> str:
        """A connected customer; its id."""
        customer_id = ids.new_id()
        now = self.clock.now()
        made = Customer(
            partner_id=self.partner_id, customer_id=customer_id, display_name="Contoso",
            state=CustomerState.ACTIVE, created_at=now, updated_at=now, **changed,
        )  # fmt: skip
        await customers.add(self.deps.tables, self.scope, made)
        return customer_id

    def day(self, today: date) -> None:
        """Go to midnight of a day."""
        self.clock.advance(datetime.combine(today, time(0), UTC) - self.clock.now())

    async def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """As the partner."""
        sent = {**self.headers, **headers}
        return await self.api.post(f"/api/v1{path}", json=body, headers=sent)

    async def get(self, path: str) -> Any:
        """The body of a good answer."""
        answer = await self.api.get(f"/api/v1{path}", headers=self.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def operate(self, path: str, body: Any) -> httpx.Response:
        """As the operator."""
        sent = {"partnerId": self.partner_id, **body}
        return await self.api.post(f"/api/v1{path}", json=sent, headers=self.operator)

    async def buy(self, item: str = SLOT, quantity: int | None = 100, **more: Any) -> str:
        """A pool; its id."""
        self.orders += 1
        body = {
            "orderId": f"order{self.orders}",
            "item": item,
            "contractEffective": "2026-01-01",
            "end": "2026-12-31",
            **({"quantity": quantity} if quantity is not None else {}),
            **more,
        }
        answer = await self.operate("/pools", body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["pool"]["id"])

    async def assign(self, quantity: int | None = 30, **more: Any) -> httpx.Response:
        """A subscription, from "Direct" unless said otherwise."""
        body = {"slot": SLOT, **({"quantity": quantity} if quantity else {}), **more}
        if not body.keys() & {"source", "poolId"} and body.get("type") != "Trial":
            body["source"] = "Direct"
        return await self.post(f"/customers/{self.customer}/subscriptions", body)

    async def assigned(self, quantity: int | None = 30, **more: Any) -> dict[str, Any]:
        """The same, and it went well."""
        answer = await self.assign(quantity, **more)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()["subscription"]
        return found

    async def verb(self, verb: str, body: Any = None, its_id: str = SLOT) -> httpx.Response:
        """A verb on a subscription."""
        return await self.post(f"/customers/{self.customer}/subscriptions/{its_id}:{verb}", body)

    async def preview(self, verb: str, **body: Any) -> dict[str, Any]:
        """What a verb would do."""
        if verb not in {"assign", "setAddOn", "setHidden", "adjust", "disconnect"}:
            body.setdefault("subscriptionId", SLOT)
        path = f"/customers/{self.customer}/subscriptions:preview"
        answer = await self.post(path, {"change": {"verb": verb, **body}})
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def change_order(self, action: str, order: str = "order1", **more: Any) -> httpx.Response:
        """As the operator: what happened to an order."""
        return await self.operate(
            "/pools:changeOrder", {"orderId": order, "action": action, **more}
        )

    async def preview_order(self, verb: str, **change: Any) -> dict[str, Any]:
        """As the operator: what an order would do."""
        body = {"change": {"verb": verb, "partnerId": self.partner_id, **change}}
        answer = await self.api.post("/api/v1/pools:preview", json=body, headers=self.operator)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def intervene(self, verb: str, path: str = "", **more: Any) -> httpx.Response:
        """As the operator: a licence from outside the pools, an early end, what was used."""
        if verb not in {"beginOverride", "endOverride"}:
            more.setdefault("subscriptionId", SLOT)
        body = {"customerId": self.customer, "change": {"verb": verb, **more}}
        return await self.operate(f"/licence-interventions{path}", body)

    async def disconnect(self) -> httpx.Response:
        """Let the customer go."""
        return await self.post(f"/customers/{self.customer}:disconnect", {"confirmed": True})

    async def sweep(self) -> None:
        """A night."""
        await service.sweep(self.deps.ledgers, self.scope)

    async def sub(self, its_id: str = SLOT) -> dict[str, Any]:
        """A subscription."""
        found: dict[str, Any] = await self.get(f"/customers/{self.customer}/subscriptions/{its_id}")
        return found

    async def pool(self, pool_id: str) -> dict[str, Any]:
        """A pool."""
        found: dict[str, Any] = await self.get(f"/pools/{pool_id}")
        return found

    async def state(self) -> dict[str, Any]:
        """Every stored row of the partner's books: what a refusal must leave alone."""
        found = self.deps.tables[TABLE].query(self.partner_id)
        return {row.key: (row.etag, row.values) async for row in found}

    async def adds_up(self) -> None:
        """The ledger tells what is stored."""
        answer = await self.post("/ledger:verify")
        assert answer.json()["ok"], answer.text


def refused(
    answer: httpx.Response, status: int, code: str, rule: str, first: str | None = None
) -> dict[str, Any]:
    """The problem document: by this rule, until this day."""
    assert (answer.status_code, code_of(answer)) == (status, code), answer.text
    problem: dict[str, Any] = answer.json()
    assert (problem["rule"], problem.get("firstAllowedOn")) == (rule, first), problem
    return problem


def code_of(answer: httpx.Response) -> str:
    """The code of a refusal; empty when it was none."""
    return str(answer.headers.get("X-Error-Code", ""))
