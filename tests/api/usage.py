"""Months of usage as their readers see them: protect, measure, close; read and change a report."""

from datetime import date, datetime, time
from typing import Any

import httpx

from shared.customers.model import Service
from shared.kit import ids
from shared.protection import repository as protection
from shared.protection.model import Policy, ProtectedObject
from shared.usage import keeping, measuring, rules
from tests.api.licensing import Shop

MARCH, APRIL = "2026-03", "2026-04"


class Months:
    """Words of tests: protect, measure, close; read and change a report."""

    def __init__(self, shop: Shop) -> None:
        self.shop, self.deps = shop, shop.deps

    async def protect(self, customer_id: str, users: int, since: int = 0) -> None:
        """So many licensed mailboxes under an enabled policy."""
        now, scope, tables = self.shop.clock.now(), self.shop.scope, self.deps.tables
        whose = {"partner_id": scope.partner_id, "customer_id": customer_id}
        if not await protection.list_policies(tables, scope, customer_id=customer_id):
            policy = Policy(
                policy_id=ids.policy_id(customer_id), **whose, name="All", services=["exchange"],
                created_at=now, next_run_at=now,
            )  # fmt: skip
            await protection.add_policy(tables, scope, policy)
        for number in range(since, users):
            mailbox = ProtectedObject(
                object_id=ids.object_id(customer_id, "mailbox", f"u{number}"), **whose,
                workload="mailbox", source_id=f"u{number}", owner_id=f"u{number}",
                display_name=f"User {number}", address=f"u{number}@c.example", discovered_at=now,
            )  # fmt: skip
            await protection.add_object(tables, scope, mailbox)

    async def measure(self, first: date, last: date) -> None:
        """Evenings."""
        rows = await self.deps.usage()
        for ordinal in range(first.toordinal(), last.toordinal() + 1):
            day = date.fromordinal(ordinal)
            self.shop.clock.advance(
                datetime.combine(day, time(23, 50), self.shop.clock.now().tzinfo)
                - self.shop.clock.now()
            )
            await measuring.measure(self.deps, rows, self.shop.scope, day)

    async def close(self, month: str = MARCH) -> dict[str, Any]:
        """What the process does on the first of the next month; the report."""
        self.shop.day(rules.first_of(rules.month_after(month)))
        told = await keeping.close_month(self.deps, self.shop.scope, month)
        assert told["state"] == "Closed", told
        return await self.report(month)

    async def report(self, month: str = MARCH) -> dict[str, Any]:
        """As it is now."""
        found: dict[str, Any] = await self.shop.get(f"/usage-reports/{month}")
        return found

    async def send(
        self, method: str, path: str = "", body: Any = None, month: str = MARCH, **headers: str
    ) -> httpx.Response:
        """A change under the newest ETag."""
        address = f"/api/v1/usage-reports/{month}"
        seen = await self.shop.api.get(address, headers=self.shop.headers)
        sent = {**self.shop.headers, "If-Match": seen.headers["ETag"], **headers}
        return await self.shop.api.request(method, address + path, json=body, headers=sent)

    async def good(
        self, method: str, path: str = "", body: Any = None, month: str = MARCH
    ) -> dict[str, Any]:
        """The report after a change that went well."""
        answer = await self.send(method, path, body, month)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def agree(self, **changed: Any) -> None:
        """A rental agreement, by the operator."""
        body = {"aggregator": "Distri", "validFrom": "2026-01-01", **changed}
        address = f"/api/v1/usage-agreements/RA-1?partnerId={self.shop.partner_id}"
        seen = await self.shop.api.get(address, headers=self.shop.operator)
        tag = {"If-Match": seen.headers["ETag"]} if seen.is_success else {}
        answer = await self.shop.api.put(address, json=body, headers=self.shop.operator | tag)
        assert answer.status_code == 200, answer.text

    async def operate(self, verb: str, body: Any = None) -> httpx.Response:
        """The aggregator's answer."""
        return await self.shop.api.post(
            f"/api/v1/usage-reports/{MARCH}:{verb}?partnerId={self.shop.partner_id}",
            json=body,
            headers=self.shop.operator,
        )

    async def waiting(self) -> list[str]:
        """Months of the partner that wait for the aggregator, as the operator reads them."""
        found, path = [], "/api/v1/usage-submissions?maxpagesize=1"
        while path:
            answer = await self.shop.api.get(path, headers=self.shop.operator)
            assert answer.status_code == 200, answer.text
            mine = self.shop.partner_id
            found += [e["month"] for e in answer.json()["value"] if e["partnerId"] == mine]
            path = answer.json().get("nextLink", "")
        return found


async def protected(months: Months, users: int = 14, **changed: Any) -> str:
    customer = await months.shop.add_customer(services=[Service.EXCHANGE], **changed)
    await months.protect(customer, users)
    return customer
