"""Consent rows per customer, and the links whose state a call-back brings back."""

from shared.access.model import Scope
from shared.consent.model import Consent, ConsentLink
from shared.kit.errors import NotFound
from shared.kit.tables import Row, Tables

TABLE = "Consents"
LINK_KEY = "link"


def _key(tenant_id: str, client_id: str, version: str) -> str:
    return f"{tenant_id}~{client_id}~{version}"


async def save(tables: Tables, scope: Scope, consent: Consent) -> None:
    """Write what the latest look found: the last one wins."""
    _inside(scope, consent.customer_id)
    key = _key(consent.tenant_id, consent.client_id, consent.manifest_version)
    await tables[TABLE].upsert(Row(consent.customer_id, key, consent.model_dump(mode="json")))


async def find(
    tables: Tables, scope: Scope, customer_id: str, tenant_id: str, client_id: str, version: str
) -> Consent | None:
    """The grant of one registration at one manifest version, or None before the first look."""
    _inside(scope, customer_id)
    row = await tables[TABLE].find(customer_id, _key(tenant_id, client_id, version))
    return Consent.model_validate(row.values | {"etag": row.etag}) if row else None


async def list_of(tables: Tables, scope: Scope, customer_id: str) -> list[Consent]:
    """All grants of a customer's tenant, every registration and manifest version."""
    _inside(scope, customer_id)
    rows = tables[TABLE].query(customer_id)
    return [Consent.model_validate(row.values | {"etag": row.etag}) async for row in rows]


async def add_link(tables: Tables, link: ConsentLink) -> None:
    """Keep a new link; its state is its partition, so the call-back needs one point read."""
    await tables[TABLE].insert(Row(_state(link.state), LINK_KEY, link.model_dump(mode="json")))


async def find_link(tables: Tables, state: str) -> ConsentLink | None:
    """The link of a call-back's state. No scope: the state itself is the secret."""
    row = await tables[TABLE].find(_state(state), LINK_KEY)
    return ConsentLink.model_validate(row.values | {"etag": row.etag}) if row else None


async def save_link(tables: Tables, link: ConsentLink) -> None:
    """Replace under the ETag; `LostRace` when another call-back was faster."""
    values = link.model_dump(mode="json")
    await tables[TABLE].replace(Row(_state(link.state), LINK_KEY, values, link.etag))


def _state(state: str) -> str:
    return f"state~{state}"


def _inside(scope: Scope, customer_id: str) -> None:
    if not scope.covers(customer_id):
        raise NotFound(f"There is no customer with the id {customer_id[:64]!r}.")
