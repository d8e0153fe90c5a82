"""What happens to subscriptions: purchases, operations, terms, and the webhooks they cause."""

import base64
import secrets
from datetime import datetime, timedelta

from local.marketplace.deliveries import Deliveries
from local.marketplace.model import MONTHS, Operation, Person, Plan, Subscription, after, plain
from local.marketplace.wire import JSON, Refused, guid, iso7
from local.microsoft365.clock import Clock

AUTO_ACCEPT = timedelta(seconds=10)
GRACE = timedelta(days=30)
TOKEN_LIFE = timedelta(hours=24)
NEEDS_ANSWER = frozenset({"ChangePlan", "ChangeQuantity", "Reinstate"})
PUBLISHER = "holdfast"


class Market:
    """All subscriptions and operations; `tick` lets time do its work."""

    def __init__(self, clock: Clock, deliveries: Deliveries) -> None:
        self.clock, self.deliveries = clock, deliveries
        self.plans: dict[tuple[str, str], Plan] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self.operations: dict[str, Operation] = {}
        self.tokens: dict[str, tuple[str, datetime]] = {}
        self.broken_rows: list[object] = []
        self.auto_accept = AUTO_ACCEPT

    # -- what customers do ---------------------------------------------------------------------

    def purchase(self, asked: JSON) -> tuple[Subscription, str]:
        """A new subscription and its landing token; plans come into being with their first sale."""
        offer, plan_id = str(asked["offerId"]), str(asked["planId"])
        plan = self.plans.setdefault(
            (offer, plan_id), Plan(plan_id, str(asked.get("termUnit", "P1Y")))
        )
        beneficiary = Person(str(asked["tenantId"]))
        sold = Subscription(
            id=str(asked.get("id") or guid()),
            name=str(asked.get("name", "Backup")),
            offer_id=offer,
            publisher_id=PUBLISHER,
            plan=plan,
            quantity=plain(asked.get("quantity")),
            beneficiary=beneficiary,
            purchaser=Person(str(asked.get("purchaserTenantId") or asked["tenantId"])),
            created=self.clock.now(),
            auto_renew=bool(asked.get("autoRenew", True)),
            may=tuple(asked.get("may") or ("Delete", "Update", "Read")),
        )
        self.subscriptions[sold.id] = sold
        return sold, self.token(sold)

    def token(self, sold: Subscription) -> str:
        """A landing token: base 64 with the characters that break in queries."""
        text = base64.b64encode(secrets.token_bytes(45) + b"\xfb\xef\xbe").decode()
        self.tokens[text] = (sold.id, self.clock.now())
        return text

    def change(self, sold: Subscription, asked: JSON, source: str = "Azure") -> Operation:
        """Another plan or quantity, asked for by the customer or by us."""
        if sold.state != "Subscribed":
            raise Refused(400, "The subscription is not Subscribed.")
        if any(
            op.status == "InProgress"
            for op in self.operations.values()
            if op.subscription_id == sold.id
        ):
            raise Refused(409, "The subscription is locked by another operation.")
        plan_id = str(asked.get("planId") or sold.plan.plan_id)
        if (sold.offer_id, plan_id) not in self.plans:
            raise Refused(400, f"There is no plan {plan_id}.")
        action = "ChangePlan" if "planId" in asked else "ChangeQuantity"
        quantity = int(asked["quantity"]) if "quantity" in asked else sold.quantity
        if quantity is not None and not 1 <= quantity <= self.plans[sold.offer_id, plan_id].maximum:
            raise Refused(400, "Quantity exceeded the maximal limit of 1000000.")
        return self.operate(sold, action, plan_id=plan_id, quantity=quantity, source=source)

    def delete(self, sold: Subscription) -> Operation:
        """Ended on our wish: what waits for an answer is refused by it."""
        if "Delete" not in sold.may or sold.state == "Unsubscribed":
            raise Refused(400, "Delete is not allowed.")
        for pending in list(self.operations.values()):
            if pending.subscription_id == sold.id and pending.status == "InProgress":
                self.finish(pending, success=False, error="deleted")
        return self.operate(sold, "Unsubscribe", source="Partner")

    def operate(
        self,
        sold: Subscription,
        action: str,
        *,
        plan_id: str = "",
        quantity: int | None = None,
        source: str = "Azure",
    ) -> Operation:
        """A new operation; what needs no answer has happened already. Its webhook is queued."""
        operation = Operation(
            id=guid(),
            action=action,
            subscription_id=sold.id,
            offer_id=sold.offer_id,
            publisher_id=sold.publisher_id,
            plan_id=plan_id or sold.plan.plan_id,
            quantity=quantity if quantity is not None else sold.quantity,
            created=self.clock.now(),
            status="InProgress" if action in NEEDS_ANSWER else "Succeeded",
            source=source,
        )
        self.operations[operation.id] = operation
        # The body has the subscription as it was before a change of plan or quantity.
        old = sold.shown()
        if operation.status == "Succeeded":
            self._apply(sold, operation)
            old = sold.shown()
        self.deliveries.add(self._body(operation, old), operation.id)
        return operation

    def finish(self, operation: Operation, *, success: bool, error: str = "") -> None:
        """An answer, or the lack of one for ten seconds."""
        if operation.status != "InProgress":
            raise Refused(409, "A newer update was fulfilled already.")
        operation.status = "Succeeded" if success else "Failed"
        operation.error = error
        if success:
            self._apply(self.subscriptions[operation.subscription_id], operation)

    def activate(self, sold: Subscription, asked: JSON) -> None:
        """Billing begins."""
        if sold.state == "Unsubscribed":
            raise Refused(404, "The subscription is unsubscribed.")
        if sold.state != "PendingFulfillmentStart":
            raise Refused(400, "The subscription is activated already.")
        quantity = asked.get("quantity")
        same = quantity in (None, "") or int(quantity) == sold.quantity
        if asked.get("planId") != sold.plan.plan_id or not same:
            raise Refused(400, "Plan or quantity differ from the purchase.")
        sold.state = "Subscribed"
        sold.begin_term(self.clock.now().date())
        sold.modified = self.clock.now()

    # -- time ------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Auto-accept, the end of grace, the end of terms."""
        now = self.clock.now()
        for operation in list(self.operations.values()):
            if operation.status == "InProgress" and operation.created + self.auto_accept <= now:
                self.finish(operation, success=True)
        for sold in list(self.subscriptions.values()):
            if sold.state == "Suspended" and sold.suspended_at and sold.suspended_at + GRACE <= now:
                self.operate(sold, "Unsubscribe")
            elif sold.state == "Subscribed" and sold.end and sold.end < now.date():
                self.operate(sold, "Renew" if sold.auto_renew else "Unsubscribe")

    def _apply(self, sold: Subscription, operation: Operation) -> None:
        now = self.clock.now()
        sold.modified = now
        if operation.action in ("ChangePlan", "ChangeQuantity"):
            sold.plan = self.plans[sold.offer_id, operation.plan_id]
            sold.quantity = operation.quantity
        elif operation.action == "Suspend":
            sold.state, sold.suspended_at = "Suspended", now
        elif operation.action == "Reinstate":
            sold.state, sold.suspended_at = "Subscribed", None
        elif operation.action == "Unsubscribe":
            sold.state, sold.ended_at = "Unsubscribed", now
        elif operation.action == "Renew" and sold.end is not None:
            if operation.quantity is not None:
                sold.quantity = operation.quantity
            first = sold.end + timedelta(days=1)
            sold.start = first
            sold.end = after(first, MONTHS.get(sold.plan.term_unit, 1)) - timedelta(days=1)

    def _body(self, operation: Operation, old: JSON) -> JSON:
        return {
            "id": operation.id,
            "activityId": operation.activity_id,
            "publisherId": operation.publisher_id,
            "offerId": operation.offer_id,
            "planId": operation.plan_id,
            "quantity": operation.quantity,
            "subscriptionId": operation.subscription_id,
            "timeStamp": iso7(operation.created),
            "action": operation.action,
            "status": operation.status,
            "operationRequestSource": operation.source,
            "subscription": old,
            "purchaseToken": None,
        }
