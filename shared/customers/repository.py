"""Customer rows and the guard that keeps a tenant with one partner."""

from typing import Any

from shared.access.model import Scope
from shared.customers.model import Customer
from shared.kit.errors import Conflict, NotFound
from shared.kit.ids import is_customer_id
from shared.kit.tables import Row, RowExists, Tables

TABLE = "Customers"
GUARD_KEY = "owner"


class CustomerManagedElsewhere(Conflict):
    """The tenant belongs to another customer record, of this or another partner (CUS-31)."""

    code, title = "CUSTOMER_MANAGED_ELSEWHERE", "The tenant is already managed"


def _missing(customer_id: str) -> NotFound:
    return NotFound(f"There is no customer with the id {customer_id[:64]!r}.")


async def find(tables: Tables, scope: Scope, customer_id: str) -> Customer | None:
    """The customer, or None when unknown or outside the scope."""
    if not is_customer_id(customer_id) or not scope.covers(customer_id):
        return None
    row = await tables[TABLE].find(scope.partner_id, customer_id)
    return _customer(row) if row else None


async def get(tables: Tables, scope: Scope, customer_id: str) -> Customer:
    """The customer; NotFound when unknown or outside the scope."""
    customer = await find(tables, scope, customer_id)
    if customer is None:
        raise _missing(customer_id)
    return customer


async def list_all(tables: Tables, scope: Scope) -> list[Customer]:
    """Every customer inside the scope: one partition read."""
    rows = tables[TABLE].query(scope.partner_id)
    return [_customer(row) async for row in rows if scope.covers(row.key)]


async def list_ids(tables: Tables, scope: Scope) -> frozenset[str]:
    """Ids of every customer inside the scope."""
    rows = tables[TABLE].query(scope.partner_id, select=["PartitionKey", "RowKey"])
    return frozenset([row.key async for row in rows if scope.covers(row.key)])


async def add(tables: Tables, scope: Scope, customer: Customer) -> Customer:
    """Create; `RowExists` when the id is taken."""
    _inside(scope, customer)
    row = await tables[TABLE].insert(_row(customer))
    return customer.model_copy(update={"etag": row.etag})


async def save(tables: Tables, scope: Scope, customer: Customer) -> Customer:
    """Replace under the ETag; `LostRace` when somebody was faster."""
    _inside(scope, customer)
    row = await tables[TABLE].replace(_row(customer))
    return customer.model_copy(update={"etag": row.etag})


async def claim_tenant(tables: Tables, scope: Scope, customer: Customer, tenant_id: str) -> None:
    """Write the guard row of the tenant; repeating it for the same customer is fine.

    `CustomerManagedElsewhere` when another customer holds it (CUS-31).
    """
    _inside(scope, customer)
    values = {"partner_id": scope.partner_id, "customer_id": customer.customer_id}
    try:
        await tables[TABLE].insert(Row(_guard(tenant_id), GUARD_KEY, dict(values)))
    except RowExists:
        await require_unclaimed(tables, scope, customer, tenant_id)


async def find_owner(tables: Tables, tenant_id: str) -> tuple[str, str] | None:
    """Partner and customer id of a claimed tenant: where a user of the tenant belongs."""
    row = await tables[TABLE].find(_guard(tenant_id), GUARD_KEY)
    return (row.values["partner_id"], row.values["customer_id"]) if row else None


async def require_unclaimed(
    tables: Tables, scope: Scope, customer: Customer, tenant_id: str
) -> None:
    """Refuse with `CustomerManagedElsewhere` when another customer holds the tenant (CUS-31)."""
    row = await tables[TABLE].find(_guard(tenant_id), GUARD_KEY)
    if row is not None and row.values != {
        "partner_id": scope.partner_id,
        "customer_id": customer.customer_id,
    }:
        raise CustomerManagedElsewhere(
            "This Microsoft 365 tenant belongs to another customer record. "
            "It has to be disconnected there first."
        )


async def release_tenant(tables: Tables, scope: Scope, customer: Customer, tenant_id: str) -> None:
    """Remove the guard row if this customer holds it."""
    _inside(scope, customer)
    row = await tables[TABLE].find(_guard(tenant_id), GUARD_KEY)
    if row is not None and row.values.get("customer_id") == customer.customer_id:
        await tables[TABLE].delete(_guard(tenant_id), GUARD_KEY)


def _guard(tenant_id: str) -> str:
    return f"tenant~{tenant_id.lower()}"


def _inside(scope: Scope, customer: Customer) -> None:
    if customer.partner_id != scope.partner_id or not scope.covers(customer.customer_id):
        raise _missing(customer.customer_id)


def _row(customer: Customer) -> Row:
    values: dict[str, Any] = customer.model_dump(mode="json")
    return Row(customer.partner_id, customer.customer_id, values, customer.etag)


def _customer(row: Row) -> Customer:
    return Customer.model_validate(row.values | {"etag": row.etag})
