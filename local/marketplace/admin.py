"""The admin side (`/_sim`): what tests and demos do in the place of customers and of bad luck."""

import base64
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from aiohttp import web

from local.marketplace.model import Plan
from local.marketplace.wire import JSON, Refused, answer, body_of

if TYPE_CHECKING:
    from local.marketplace.simulator import Simulator


@dataclass
class Rule:
    """A scripted fault: the next `times` calls that match are answered with `status`.

    With the status 0 they are only late: rules behind it wait for their turn.
    """

    method: str
    path: re.Pattern[str]
    status: int
    times: int
    seconds: float = 0


class Admin:
    """Handlers below /_sim."""

    def __init__(self, sim: "Simulator") -> None:
        self._sim = sim

    def routes(self) -> list[web.AbstractRouteDef]:
        """All of them."""
        verbs = {
            "purchase": self.purchase,
            "plans": self.plan,
            "token": self.landing_token,
            "change": self.change,
            "operate": self.operate,
            "delete": self.delete,
            "shape": self.shape,
            "brokenRows": self.broken_rows,
            "webhook": self.webhook,
            "send": self.send,
            "clock": self.clock,
            "faults": self.faults,
            "keys": self.keys,
            "webhookToken": self.webhook_token,
            "metering": self.metering,
            "cloudblue": self.cloudblue,
            "reset": self.reset,
        }
        return [
            *(web.post(f"/_sim/{name}", verb) for name, verb in verbs.items()),
            web.get("/_sim/state", self.state),
        ]

    async def purchase(self, request: web.Request) -> web.Response:
        """Buy: offerId, planId, quantity, tenantId, termUnit, purchaserTenantId, may."""
        sold, token = self._sim.market.purchase(await body_of(request))
        return answer({"subscription": sold.shown(), "token": token})

    async def plan(self, request: web.Request) -> web.Response:
        """Offer another plan."""
        asked = await body_of(request)
        plan = Plan(
            str(asked["planId"]),
            str(asked.get("termUnit", "P1Y")),
            is_private=bool(asked.get("isPrivate")),
        )
        self._sim.market.plans[str(asked["offerId"]), plan.plan_id] = plan
        return answer(plan.shown())

    async def landing_token(self, request: web.Request) -> web.Response:
        """A further landing token ("Manage account")."""
        sold = self._sim.market.subscriptions[str((await body_of(request))["id"])]
        return answer({"token": self._sim.market.token(sold)})

    async def change(self, request: web.Request) -> web.Response:
        """The customer changes plan or quantity; with `source` "Partner" the publisher does."""
        asked = await body_of(request)
        sold = self._sim.market.subscriptions[str(asked.pop("id"))]
        source = str(asked.pop("source", "Azure"))
        return answer(self._sim.market.change(sold, asked, source).shown())

    async def delete(self, request: web.Request) -> web.Response:
        """The publisher ends a subscription; a Reinstate that waits is refused by it."""
        sold = self._sim.market.subscriptions[str((await body_of(request))["id"])]
        return answer(self._sim.market.delete(sold).shown())

    async def operate(self, request: web.Request) -> web.Response:
        """Suspend, Reinstate, Renew, Unsubscribe, Subscribe, Transfer, or any other action."""
        asked = await body_of(request)
        sold = self._sim.market.subscriptions[str(asked["id"])]
        quantity = asked.get("quantity")
        made = self._sim.market.operate(
            sold, str(asked["action"]), quantity=None if quantity is None else int(quantity)
        )
        return answer(made.shown())

    async def shape(self, request: web.Request) -> web.Response:
        """Members of a subscription as others have really received them; autoRenew for real."""
        asked = await body_of(request)
        sold = self._sim.market.subscriptions[str(asked["id"])]
        sold.shape = dict(asked.get("members") or {})
        sold.auto_renew = bool(asked.get("autoRenew", sold.auto_renew))
        return answer(sold.shown())

    async def broken_rows(self, request: web.Request) -> web.Response:
        """Rows at the head of the list that are no subscriptions."""
        self._sim.market.broken_rows = list((await body_of(request))["rows"])
        return answer({})

    async def webhook(self, request: web.Request) -> web.Response:
        """Where webhooks go, and how: url, version, held, copies, order; acceptAfter seconds."""
        asked, out = await body_of(request), self._sim.deliveries
        out.url = str(asked.get("url", out.url))
        out.version = int(asked.get("version", out.version))
        out.copies = int(asked.get("copies", out.copies))
        out.held = bool(asked.get("held", out.held))
        if "acceptAfter" in asked:
            self._sim.market.auto_accept = timedelta(seconds=float(asked["acceptAfter"]))
        order = asked.get("order")
        if order == "reversed":
            waiting = [each for each in out.all if each.state == "waiting"]
            done = [each for each in out.all if each.state != "waiting"]
            out.all = [*done, *reversed(waiting)]
        return answer({"waiting": sum(each.state == "waiting" for each in out.all)})

    async def send(self, request: web.Request) -> web.Response:
        """A webhook of one's own making: body or raw (base 64), claims, authorization."""
        asked = await body_of(request)
        body: Any = asked.get("body")
        if "raw" in asked:
            body = base64.b64decode(str(asked["raw"]))
        given: JSON = {"claims": asked.get("claims") or {}}
        if "authorization" in asked:
            given["authorization"] = asked["authorization"]
        if "contentType" in asked:
            given["content_type"] = asked["contentType"]
        made = self._sim.deliveries.add(body, str(asked.get("id", "")), **given)
        return answer({"queued": len(made)})

    async def clock(self, request: web.Request) -> web.Response:
        """Let time pass."""
        self._sim.clock.advance(float((await body_of(request))["seconds"]))
        self._sim.market.tick()
        return answer({"now": self._sim.clock.now().isoformat()})

    async def faults(self, request: web.Request) -> web.Response:
        """Script a fault; without a path all are taken away."""
        asked = await body_of(request)
        if "path" not in asked:
            self._sim.rules.clear()
            return answer({})
        self._sim.rules.append(
            Rule(
                str(asked.get("method", "")).upper(),
                re.compile(str(asked["path"])),
                int(asked.get("status", 500)),
                int(asked.get("times", 1)),
                float(asked.get("seconds", 0)),
            )
        )
        return answer({})

    async def keys(self, _: web.Request) -> web.Response:
        """A new signing key; the old ones stay published."""
        return answer({"kid": self._sim.signer.rotate()})

    async def webhook_token(self, request: web.Request) -> web.Response:
        """A token as a webhook carries it, with changed claims."""
        return answer({"token": self._sim.deliveries.token(**await body_of(request))})

    async def metering(self, request: web.Request) -> web.Response:
        """Dimensions that exist, resources that mismatch, how many items end as Error."""
        asked, meter = await body_of(request), self._sim.metering
        meter.dimensions = set(asked.get("dimensions", meter.dimensions))
        meter.mismatched = set(asked.get("mismatched", meter.mismatched))
        meter.errors_left = int(asked.get("errors", meter.errors_left))
        return answer({})

    async def cloudblue(self, request: web.Request) -> web.Response:
        """A fulfilment request: type, and what it asks for."""
        asked = await body_of(request)
        return answer(self._sim.cloudblue.ask(str(asked.pop("type")), asked).shown())

    async def reset(self, _: web.Request) -> web.Response:
        """Forget everything but the keys and the clock."""
        self._sim.reset()
        return answer({})

    async def state(self, _: web.Request) -> web.Response:
        """Everything there is to see."""
        sim = self._sim
        return answer(
            {
                "now": sim.clock.now().isoformat(),
                "subscriptions": [s.shown() for s in sim.market.subscriptions.values()],
                "operations": [op.shown() for op in sim.market.operations.values()],
                "deliveries": [each.shown() for each in sim.deliveries.all],
                "metered": list(sim.metering.accepted.values()),
                "requests": [each.shown() for each in sim.cloudblue.requests.values()],
                "usageFiles": list(sim.cloudblue.files.values()),
                "calls": dict(sim.calls),
            }
        )


def take(rules: list[Rule], method: str, path: str) -> Rule | None:
    """The rule for a call, counted down."""
    for rule in rules:
        if rule.times and rule.method in ("", method) and rule.path.search(path):
            rule.times -= 1
            return rule
    return None


def scripted(rule: Rule) -> Refused:
    """The refusal a rule stands for."""
    return Refused(rule.status, "Scripted.")
