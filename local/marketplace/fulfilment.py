"""The publisher's side of SaaS fulfilment v2: resolve, activate, read, change, operations."""

from urllib.parse import urlencode

from aiohttp import web

from local.marketplace.market import TOKEN_LIFE, Market
from local.marketplace.model import Operation, Subscription
from local.marketplace.wire import JSON, Refused, answer, body_of

PAGE = 100
TRACKED = frozenset({"Unsubscribe", "ChangePlan", "ChangeQuantity", "Reinstate"})


class Fulfilment:
    """Handlers below /api/saas/subscriptions."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self.page = PAGE

    def routes(self) -> list[web.AbstractRouteDef]:
        """All of them."""
        base = "/api/saas/subscriptions"
        return [
            web.post(f"{base}/resolve", self.resolve),
            web.get(base, self.list_all),
            web.get(f"{base}/{{id}}", self.get),
            web.post(f"{base}/{{id}}/activate", self.activate),
            web.get(f"{base}/{{id}}/listAvailablePlans", self.plans),
            web.patch(f"{base}/{{id}}", self.patch),
            web.delete(f"{base}/{{id}}", self.delete),
            web.get(f"{base}/{{id}}/operations", self.operations),
            web.get(f"{base}/{{id}}/operations/{{op}}", self.operation),
            web.patch(f"{base}/{{id}}/operations/{{op}}", self.answer_operation),
        ]

    async def resolve(self, request: web.Request) -> web.Response:
        """The purchase behind a landing token, in every state."""
        token = request.headers.get("x-ms-marketplace-token", "")
        found = self._market.tokens.get(token)
        if found is None or found[1] + TOKEN_LIFE < self._market.clock.now():
            raise Refused(400, "The token is not valid or has expired.")
        sold = self._market.subscriptions[found[0]]
        shown = sold.shown()
        return answer(
            {
                "id": sold.id,
                "subscriptionName": sold.name,
                "offerId": sold.offer_id,
                "planId": shown["planId"],
                "quantity": shown["quantity"],
                "subscription": shown,
            }
        )

    async def list_all(self, request: web.Request) -> web.Response:
        """A page; `@nextLink` when there are more."""
        start = int(request.query.get("continuationToken") or 0)
        rows: list[object] = [s.shown() for s in self._market.subscriptions.values()]
        rows = [*self._market.broken_rows, *rows]
        if not rows:
            return web.Response(status=200)
        page: JSON = {"subscriptions": rows[start : start + self.page]}
        if start + self.page < len(rows):
            query = {**request.query, "continuationToken": str(start + self.page)}
            page["@nextLink"] = f"{request.url.origin()}{request.path}?{urlencode(query)}"
        return answer(page)

    async def get(self, request: web.Request) -> web.Response:
        """One subscription."""
        return answer(self._sold(request).shown())

    async def activate(self, request: web.Request) -> web.Response:
        """Billing begins; no body comes back."""
        self._market.activate(self._sold(request), await body_of(request))
        return web.Response(status=200)

    async def plans(self, request: web.Request) -> web.Response:
        """What the subscription may change to."""
        sold = self._sold(request)
        found = [p.shown() for (o, _), p in self._market.plans.items() if o == sold.offer_id]
        return answer({"plans": found})

    async def patch(self, request: web.Request) -> web.Response:
        """Our own wish for another plan or quantity: never both at once."""
        sold, asked = self._sold(request), await body_of(request)
        if ("planId" in asked) == ("quantity" in asked):
            raise Refused(400, "Send either planId or quantity.")
        if "Update" not in sold.may:
            raise Refused(400, "The customer's purchase does not allow Update.")
        return self._accepted(request, self._market.change(sold, asked, "Partner"))

    async def delete(self, request: web.Request) -> web.Response:
        """Unsubscribe on our wish; refuses a Reinstate that waits."""
        sold = self._sold(request)
        return self._accepted(request, self._market.delete(sold))

    async def operations(self, request: web.Request) -> web.Response:
        """Pending ones only."""
        pending = [op for op in self._of(self._sold(request)) if op.status == "InProgress"]
        return answer({"operations": [op.shown() for op in pending]})

    async def operation(self, request: web.Request) -> web.Response:
        """One that is tracked; the live service answers 400 for an unknown one."""
        found = self._operation(request)
        if found.action not in TRACKED:
            raise Refused(400, "The operation is not tracked.")
        return answer(found.shown())

    async def answer_operation(self, request: web.Request) -> web.Response:
        """Success or Failure; anything else counts as Success, as with the live service."""
        found, asked = self._operation(request), await body_of(request)
        if found.source == "Partner" and found.status != "InProgress":
            raise Refused(500, "Internal server error.")
        self._market.finish(found, success=asked.get("status") != "Failure")
        return web.Response(status=200)

    def _sold(self, request: web.Request) -> Subscription:
        found = self._market.subscriptions.get(request.match_info["id"])
        if found is None:
            raise Refused(404, "There is no such subscription.")
        return found

    def _of(self, sold: Subscription) -> list[Operation]:
        return [op for op in self._market.operations.values() if op.subscription_id == sold.id]

    def _operation(self, request: web.Request) -> Operation:
        found = self._market.operations.get(request.match_info["op"])
        if found is None or found.subscription_id != request.match_info["id"]:
            raise Refused(400, "There is no such operation.")
        return found

    def _accepted(self, request: web.Request, made: Operation) -> web.Response:
        where = f"{request.url.origin()}{request.path}/operations/{made.id}?api-version=2018-08-31"
        return web.Response(status=202, headers={"Operation-Location": where})
