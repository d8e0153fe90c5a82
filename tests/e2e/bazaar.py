"""The simulated marketplace and the app's side of it, for many orders that live at once."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx

from shared.bootstrap import Deps
from shared.kit.tables import Row
from shared.marketplace import metering
from shared.marketplace.model import MICROSOFT, UsageRecord, UsageResult
from tests.e2e.parties import Partner
from tests.e2e.scene import Scene

Json = dict[str, Any]
OFFER, YEARLY, PRIVATE, SEATS, MONTHLY = (
    "fair",
    "fly",
    "fly-private",
    "insights",
    "insights-monthly",
)
PATIENCE_SECONDS = 180
LOOK_EVERY_SECONDS = 0.3
NOWHERE = "http://127.0.0.1:9/nobody"


class Bazaar:
    """Words of tests: buy, land, change, let time pass, wait for what follows. Orders by name."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self._sim = httpx.Client(base_url=scene.stack.urls.marketplace, trust_env=False, timeout=60)
        self._page = httpx.Client(base_url=scene.stack.urls.api, trust_env=False, timeout=60)
        self.ids: dict[str, str] = {}
        self.tokens: dict[str, str] = {}

    def open(self) -> "Bazaar":
        """Say what the plans stand for."""
        for plan, item, option in (
            (YEARLY, "FLY-AVIATOR", "AnnualUpfront"),
            (PRIVATE, "FLY-AVIATOR", "AnnualUpfront"),
            (SEATS, "INS-M365", "AnnualUpfront"),
            (MONTHLY, "INS-M365", "Monthly"),
        ):
            body = {
                "source": "microsoft", "offerId": OFFER, "planId": plan, "item": item,
                "paymentOption": option, "seller": "Fair",
            }  # fmt: skip
            self.scene.partner.post("/channel-offers", body)
        self.sim("plans", offerId=OFFER, planId=PRIVATE, isPrivate=True)
        return self

    def close(self) -> None:
        """The marketplace accepts as quickly as ever; end the connections."""
        self.sim("webhook", acceptAfter=10)
        self._sim.close()
        self._page.close()

    # -- what happens at the marketplace ---------------------------------------------------------

    def sim(self, verb: str, **body: Any) -> Json:
        """One word to the marketplace."""
        answer = self.ask(verb, **body)
        assert answer.status_code == 200, (verb, body, answer.text)
        return dict(answer.json())

    def ask(self, verb: str, **body: Any) -> httpx.Response:
        """The same, whatever is answered."""
        return self._sim.post(f"/_sim/{verb}", json=body)

    def state(self) -> Json:
        """Everything there is to see."""
        return dict(self._sim.get("/_sim/state").json())

    def buy(self, name: str, quantity: int | None = 10, plan: str = YEARLY, **more: Any) -> str:
        """A purchase that has not landed."""
        unit = "P1M" if plan == MONTHLY else "P1Y"
        sold = self.sim("purchase", **{
            "offerId": OFFER, "planId": plan, "quantity": quantity, "termUnit": unit,
            "tenantId": self.scene.registrations.partner_tenant_id, **more,
        })  # fmt: skip
        self.ids[name], self.tokens[name] = sold["subscription"]["id"], sold["token"]
        return self.ids[name]

    def land(self, *names: str) -> list[httpx.Response]:
        """Browsers at the landing page, at once."""
        with ThreadPoolExecutor(4) as browsers:
            return list(browsers.map(lambda name: self.page(self.tokens[name]), names))

    def page(self, token: str) -> httpx.Response:
        """The landing page."""
        return self._page.get("/api/v1/marketplace/landing", params={"token": token})

    def change(self, name: str, **asked: Any) -> Json:
        """Another plan or quantity; the operation."""
        return self.sim("change", id=self.ids[name], **asked)

    def operate(self, name: str, action: str, **asked: Any) -> Json:
        """What the marketplace does; the operation."""
        return self.sim("operate", id=self.ids[name], action=action, **asked)

    def fault(self, name: str, method: str, path: str, *statuses: int) -> None:
        """The next calls about this order that match are answered so; 0: as ever."""
        for status in statuses:
            self.sim("faults", method=method, path=f"/{self.ids[name]}{path}", status=status)

    def fault_metering(self, status: int) -> None:
        """The next batch of usage is answered so."""
        self.sim("faults", method="POST", path="/batchUsageEvent$", status=status)

    def calls(self, name: str) -> int:
        """How often the marketplace was called so."""
        return int(self.state()["calls"].get(name, 0))

    def pass_time(self, **given: float) -> None:
        """At the marketplace alone: the app's clock is the machine's."""
        units = {"seconds": 1, "hours": 3600, "days": 86400}
        self.sim("clock", seconds=sum(units[unit] * value for unit, value in given.items()))

    @contextmanager
    def held(self) -> Iterator[None]:
        """Webhooks wait until the block ends."""
        self.sim("webhook", held=True)
        yield
        self.sim("webhook", held=False)

    @contextmanager
    def unreachable(self) -> Iterator[None]:
        """Our app cannot be reached until the block ends."""
        self.sim("webhook", url=NOWHERE)
        yield
        self.sim("webhook", url=f"{self.scene.stack.urls.api}/api/v1/webhooks/microsoft")

    def send(self, body: Json, **given: Any) -> None:
        """A webhook of one's own making."""
        self.sim("send", body=body, **given)

    def post(self, body: Json, **headers: str) -> int:
        """The same from anywhere; the status of the answer."""
        return self._page.post("/api/v1/webhooks/microsoft", json=body, headers=headers).status_code

    def statuses(self) -> list[list[int]]:
        """How every delivery was answered, once all are."""
        self.until(lambda: all(d["state"] != "waiting" for d in self.state()["deliveries"]))
        return [delivery["statuses"] for delivery in self.state()["deliveries"]]

    def operation(self, made: Json) -> str:
        """How an operation stands."""
        found = {each["id"]: each["status"] for each in self.state()["operations"]}
        return str(found[made["id"]])

    def pending(self) -> set[str]:
        """Operations that wait for an answer."""
        return {op["id"] for op in self.state()["operations"] if op["status"] == "InProgress"}

    # -- what the app makes of it ----------------------------------------------------------------

    def orders(self, partner: Partner | None = None) -> dict[str, Json]:
        """Orders by name."""
        found = {
            each["externalId"]: each for each in (partner or self.scene.partner).all("/orders")
        }
        return {name: found[external] for name, external in self.ids.items() if external in found}

    def wait(self, wanted: dict[str, tuple[Any, ...]]) -> None:
        """Until orders have the state, and the quantity where one is given."""
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            orders = self.orders()
            wrong = {
                name: (want, orders.get(name))
                for name, want in wanted.items()
                if name not in orders
                or (orders[name]["state"], orders[name]["quantity"])[: len(want)] != want
            }
            if not wrong:
                return
            time.sleep(LOOK_EVERY_SECONDS)
        raise AssertionError(wrong)

    def until(self, seen: Callable[[], object]) -> None:
        """Until something is seen."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not seen():
            assert time.monotonic() < end, self.state()["deliveries"][-3:]
            time.sleep(LOOK_EVERY_SECONDS)

    def explained(self, name: str) -> Json:
        """The order with everything that led there."""
        return self.scene.partner.get(f"/orders/{self.orders()[name]['id']}/explain")

    def retry(self, name: str) -> None:
        """Look again."""
        self.scene.partner.post(f"/orders/{self.orders()[name]['id']}:retry")

    def fire(self, timer: str) -> None:
        """A timer by hand, as the Functions tools do."""
        address = f"{self.scene.stack.urls.api}/admin/functions/{timer}"
        assert httpx.post(address, json={"input": ""}, trust_env=False).status_code == 202

    # -- usage -----------------------------------------------------------------------------------

    def meter(self, *records: UsageRecord) -> None:
        """Queue usage, as whoever measures it does."""

        async def queue(deps: Deps) -> None:
            for record in records:
                assert await metering.queue(deps, record)

        self.scene.with_storage(queue)

    def forget_sent(self, *records: UsageRecord) -> None:
        """Queue what was answered once more: the run died before it could write the answer."""

        async def again(deps: Deps) -> None:
            for record in records:
                row = Row(
                    f"usage~{MICROSOFT}", metering._key(record),
                    {"record": record.model_dump(mode="json")},
                )  # fmt: skip
                await deps.orders.table.delete(metering._done(record), metering._done_key(record))
                await deps.orders.table.insert(row)

        self.scene.with_storage(again)

    def metered(self, name: str) -> list[UsageResult]:
        """What was answered for an order."""
        return self.scene.with_storage(lambda deps: metering.results(deps, self.ids[name]))
