"""What happens at the fair: many orders at once, six acts, each followed by one wait."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from shared.marketplace.metering import whole_hour
from shared.marketplace.model import MICROSOFT, UsageRecord
from tests.e2e.bazaar import MONTHLY, PRIVATE, SEATS, YEARLY, Bazaar
from tests.e2e.parties import Partner

STRANGER = "66666666-2222-3333-4444-555555555555"
CSP = "77777777-2222-3333-4444-555555555555"
COPIES = 500
ACCEPT_SECONDS = 600
"""Instead of ten: how busy the machine is decides nothing."""
CALLER_V1 = {"version": 1, "appid": "11111111-0000-0000-0000-000000000000"}
UNREADABLE = (400, 403, 404, 500)
"""Answers to GET operation; to PATCH: 409, 400, 500."""


class Fair:
    """Everything that happens; `seen` is what was noted on the way."""

    def __init__(self, bazaar: Bazaar, second: Partner) -> None:
        self.bazaar, self.second = bazaar, second
        self.seen: dict[str, Any] = {}

    def run(self) -> "Fair":
        """Six acts, each followed by one wait."""
        self.purchases()
        self.changes()
        self.ends()
        self.usage()
        self.outages()
        self.months()
        return self

    def purchases(self) -> None:
        """1, 3, 6: all of them land at once."""
        bazaar = self.bazaar
        plain = [
            "one", "crashed", "up", "down", "too late", "private", "own", "revert",
            "suspended", "reinstated", "deleted", "renewed", "odd action", "bare", "copies",
            "shuffled", "forged", "hours", "long",
            *(f"get {status}" for status in UNREADABLE), *(f"patch {n}" for n in (409, 400, 500)),
        ]  # fmt: skip
        for name in plain:
            bazaar.buy(name)
        bazaar.buy("csp", purchaserTenantId=CSP, may=["Read"])
        bazaar.buy("refused")
        bazaar.buy("stranger", tenantId=STRANGER)
        bazaar.buy("ending", plan=MONTHLY, autoRenew=False)
        bazaar.buy("monthly", 100, plan=MONTHLY)
        bazaar.buy("merged", 20, plan=SEATS)
        bazaar.buy("merged too", 30, plan=SEATS)
        shapes: dict[str, Any] = {
            "text": {"quantity": "20", "term": {"termUnit": "PAY"}, "novelty": {"deep": [1]}},
            "empty": {"quantity": "", "sandboxType": "Moon"},
            "null": {"quantity": None, "beneficiary": {"puid": None}, "autoRenew": None},
        }
        for name, members in shapes.items():
            bazaar.sim("shape", id=bazaar.buy(name, 20), members=members)
        bazaar.fault("refused", "POST", "/activate$", 400)
        # The worker dies between the activation and the licence: the look after it fails.
        bazaar.fault("crashed", "GET", "$", 0, 500)
        landed = bazaar.land(*bazaar.ids, "one", "one")
        self.seen["landed"] = {answer.status_code for answer in landed}
        good = dict.fromkeys([*plain, "csp", "ending"], ("Active", 10))
        parked = dict.fromkeys(("refused", "stranger", "empty", "null"), ("Parked", None))
        bazaar.wait(good | parked | {
            "monthly": ("Active", 100), "merged": ("Active", 20), "merged too": ("Active", 30),
            "text": ("Active", 20),
        })  # fmt: skip
        self.seen["parked"] = {
            each["externalId"]: each["code"]
            for each in bazaar.scene.partner.all("/orders?status=parked")
        }
        body = {"token": bazaar.tokens["stranger"]}
        bazaar.scene.partner.post("/orders:claim", body)
        bazaar.retry("refused")
        bazaar.wait({"refused": ("Active", 10), "stranger": ("Active", 10)})
        self.seen["second claim"] = self.second.call("POST", "/orders:claim", body)

    def changes(self) -> None:
        """4, 6, 7, 8: changes, odd actions, copies, forgeries, faults."""
        bazaar, made = self.bazaar, self.seen
        with bazaar.held():
            made["too late"] = bazaar.change("too late", quantity=5)
            made["locked"] = bazaar.ask("change", id=bazaar.ids["too late"], quantity=6)
            for status in UNREADABLE:
                bazaar.change(f"get {status}", quantity=15)
                bazaar.fault(f"get {status}", "GET", "/operations/", status)
            bazaar.pass_time(seconds=ACCEPT_SECONDS)  # nobody answers: auto-accepted
        for name in ("suspended", "reinstated", "bare", "shuffled", "deleted"):
            bazaar.operate(name, "Suspend")
        bazaar.sim("webhook", copies=COPIES)
        made["copies"] = bazaar.change("copies", quantity=15)
        bazaar.sim("webhook", copies=1, version=1)
        made["up"] = bazaar.change("up", quantity=15)
        bazaar.sim("webhook", version=2)
        made["down"] = bazaar.change("down", quantity=5)
        made["private"] = bazaar.change("private", planId=PRIVATE)
        made["revert"] = bazaar.change("revert", quantity=10)
        made["own"] = bazaar.change("own", quantity=11, source="Partner")
        for status in (409, 400, 500):
            bazaar.fault(f"patch {status}", "PATCH", "/operations/", status)
            made[f"patch {status}"] = bazaar.change(f"patch {status}", quantity=15)
        for action in ("Subscribe", "Transfer", "Levitate"):
            bazaar.operate("odd action", action)
        self.forge()
        changed = [*(f"get {n}" for n in UNREADABLE), *(f"patch {n}" for n in (409, 400, 500))]
        states = dict.fromkeys([*changed, "up", "copies"], ("Active", 15))
        halted = dict.fromkeys(
            ("suspended", "reinstated", "bare", "shuffled", "deleted"), ("Suspended",)
        )
        # Whatever became of the first answer, there is one before the time gives it.
        names = ("copies", "up", "down", "private", "revert", "own", *changed[len(UNREADABLE) :])
        bazaar.until(lambda: not bazaar.pending() & {made[name]["id"] for name in names})
        bazaar.wait(states | halted | {
            "too late": ("ChangeRefused", 10), "own": ("Active", 11), "private": ("Active", 10),
            "revert": ("Active", 10), "odd action": ("Active", 10), "forged": ("Active", 10),
        })  # fmt: skip

    def forge(self) -> None:
        """7: what is not from the marketplace, and what only looks so."""
        bazaar = self.bazaar
        body = {"id": "forged", "action": "Unsubscribe", "subscriptionId": bazaar.ids["forged"]}
        for claims in (
            {"aud": "another"}, {"exp": 1_600_000_000}, {"azp": STRANGER}, CALLER_V1,
            {"tid": STRANGER}, {"iss": f"https://sts.windows.net/{STRANGER}/"},
        ):  # fmt: skip
            bazaar.send(body, claims=claims)
        self.seen["no token"] = [bazaar.post(body), bazaar.post(body, Authorization="Bearer a.b.c")]
        signed = {"sub": "x"}
        for number, action in enumerate(("Unsubscribe", "Suspend", "Renew", "ChangeQuantity")):
            lie = {**body, "id": f"lie-{number}", "action": action, "quantity": 1_000_000}
            bazaar.send(lie, claims=signed)
        bazaar.send({"id": "lost", "action": "Renew", "subscriptionId": "no-one"}, claims=signed)

    def ends(self) -> None:
        """2, 5, 7: reinstated, refused, renewed, ended; in any order of arrival."""
        bazaar = self.bazaar
        with bazaar.held():
            bazaar.operate("shuffled", "Reinstate")
            bazaar.pass_time(seconds=ACCEPT_SECONDS)
            bazaar.change("shuffled", quantity=12)
            bazaar.pass_time(seconds=ACCEPT_SECONDS)
            bazaar.operate("shuffled", "Suspend")
            bazaar.operate("shuffled", "Reinstate")
            bazaar.pass_time(seconds=ACCEPT_SECONDS)
            bazaar.operate("deleted", "Reinstate")
            bazaar.sim("delete", id=bazaar.ids["deleted"])  # refused: ended instead
            bazaar.sim("webhook", order="reversed")
        self.seen["reinstated"] = bazaar.operate("reinstated", "Reinstate")
        with bazaar.held():
            self.seen["bare"] = bazaar.operate("bare", "Reinstate")
            bare = {"subscriptionId": bazaar.ids["bare"], "operationType": "Reinstate"}
            bazaar.send(bare, claims={"sub": "x"})
            bazaar.sim("webhook", order="reversed")
        bazaar.operate("renewed", "Renew", quantity=12)
        bazaar.change("monthly", quantity=70)
        bazaar.operate("merged too", "Unsubscribe")
        bazaar.wait({
            "shuffled": ("Active", 12), "deleted": ("Cancelled",), "reinstated": ("Active", 10),
            "bare": ("Active", 10), "renewed": ("Active", 12), "merged too": ("Cancelled",),
            "monthly": ("ChangeScheduled", 100),
        })  # fmt: skip
        self.seen["before"] = bazaar.orders()
        managed = {}
        for name in ("up", "suspended", "merged too"):
            token = bazaar.sim("token", id=bazaar.ids[name])["token"]
            managed[name] = bazaar.page(token)
        self.seen["managed"] = managed

    def usage(self) -> None:
        """10: hours that are over, in batches; what is late, doubled, refused, held."""
        bazaar = self.bazaar
        now = datetime.now(UTC)

        def record(name: str, dimension: str, hours: int = 1, quantity: str = "1.5") -> UsageRecord:
            return UsageRecord(
                source=MICROSOFT, external_id=bazaar.ids[name], plan_id=YEARLY,
                dimension=dimension, hour=whole_hour(now - timedelta(hours=hours)),
                quantity=Decimal(quantity),
            )  # fmt: skip

        many = [record("up", f"d{number}") for number in range(26)]
        late = [record("revert", "restores", hours, "0.1") for hours in (30, 28, 1)]
        others = [
            record("suspended", "restores"), record("merged too", "restores", 2),
            record("up", "running", 0), record("own", "same"), record("own", "other"),
        ]  # fmt: skip
        bazaar.meter(*many, *late, *others)
        bazaar.fault_metering(503)
        bazaar.fire("submit_metering")
        bazaar.until(lambda: bazaar.calls("POST batchUsageEvent"))
        bazaar.fire("submit_metering")  # the next hour: nothing is lost
        bazaar.until(lambda: len(bazaar.metered("own")) == 2)
        bazaar.until(lambda: len(bazaar.metered("up")) == 26)
        other = others[-1].model_copy(update={"quantity": Decimal(7)})
        bazaar.forget_sent(others[-2], other)
        bazaar.sim("metering", mismatched=[bazaar.ids["own"]])
        bazaar.fire("submit_metering")
        bazaar.until(lambda: len(bazaar.metered("own")) == 2)
        bazaar.fire("compare_metering")

    def outages(self) -> None:
        """8, 9: seven hours are bridged by the marketplace, nine by the walk over all pages."""
        bazaar = self.bazaar
        with bazaar.unreachable():
            bazaar.change("hours", quantity=15)
            bazaar.until(lambda: bazaar.state()["deliveries"][-1]["tries"])
            bazaar.sim("keys")  # a new signing key in the midst of retries
            bazaar.pass_time(hours=7)
        bazaar.wait({"hours": ("Active", 15)})
        bazaar.buy("adopted")
        with bazaar.unreachable():
            bazaar.change("long", quantity=15)
            bazaar.until(lambda: bazaar.state()["deliveries"][-1]["tries"])
            bazaar.pass_time(hours=9)
            bazaar.until(lambda: bazaar.state()["deliveries"][-1]["state"] == "given up")
        rows = ["nonsense", {"id": None}, {"id": "x", "term": "y"}] * 40
        bazaar.sim("brokenRows", rows=rows)
        before = bazaar.calls("GET subscriptions")
        bazaar.fire("reconcile_orders")
        bazaar.wait({"long": ("Active", 15), "adopted": ("Active", 10)})
        self.seen["pages"] = bazaar.calls("GET subscriptions") - before
        bazaar.sim("brokenRows", rows=[])

    def months(self) -> None:
        """1, 5: what 31 days do: grace is over, terms end or are renewed, tokens expire."""
        bazaar = self.bazaar
        bazaar.pass_time(days=31)
        self.seen["expired"] = bazaar.page(bazaar.tokens["one"])
        bazaar.wait({
            "suspended": ("Cancelled",), "ending": ("Cancelled",), "monthly": ("Active", 70),
        })  # fmt: skip
