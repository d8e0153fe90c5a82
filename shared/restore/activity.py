"""What an account did in a month: jobs by outcome, and restores (RES-11)."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.customers import repository as customers
from shared.protection import queries
from shared.restore import statistics

if TYPE_CHECKING:
    from shared.bootstrap import Deps


@dataclass(frozen=True, slots=True)
class Activity:
    """Of the caller's own account: a reseller's partner above it has a scope of its own."""

    month: str
    customers: int
    jobs: int
    jobs_by_state: dict[str, int]
    restores: int


async def count(deps: "Deps", scope: Scope, month: str) -> Activity:
    """Sessions begun and restores asked for in the month, at the customers the caller sees."""
    begin = datetime(int(month[:4]), int(month[5:]), 1, tzinfo=UTC)
    end = (begin.replace(year=begin.year + 1, month=1) if begin.month == 12
           else begin.replace(month=begin.month + 1))  # fmt: skip
    states: Counter[str] = Counter()
    seen = 0
    for customer in await customers.list_all(deps.tables, scope):
        seen += 1
        found = await queries.sessions_between(deps, scope, customer.customer_id, begin, end)
        states.update(str(session.state) for session in found)
    restored = await statistics.count(deps, scope, month, 1)
    return Activity(month, seen, states.total(), dict(sorted(states.items())), restored.restores)
