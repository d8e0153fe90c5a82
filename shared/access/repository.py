"""Partner and client rows; the index from a home tenant to its partner."""

import orjson

from shared.access.model import Client, Partner
from shared.kit.clock import from_text, to_text
from shared.kit.tables import Row, Tables

TABLE = "Access"
PARTNER_KEY = "partner"
CLIENT = "client~"


def _index(tenant_id: str) -> str:
    return f"tenant~{tenant_id.lower()}"


async def find_by_tenant(tables: Tables, tenant_id: str) -> Partner | None:
    """The partner whose home tenant this is, with its clients; None when it is no partner."""
    index = await tables[TABLE].find(_index(tenant_id), PARTNER_KEY)
    return await find(tables, str(index.values["partner_id"])) if index else None


async def find(tables: Tables, partner_id: str) -> Partner | None:
    """The partner with its clients: one partition read."""
    rows = [row async for row in tables[TABLE].query(partner_id)]
    head = next((row for row in rows if row.key == PARTNER_KEY), None)
    if head is None:
        return None
    return Partner(
        partner_id=partner_id,
        tenant_id=head.values["tenant_id"],
        name=head.values["name"],
        created_at=from_text(head.values["created_at"]),
        clients={
            client.client_id: client
            for client in (_client(row) for row in rows if row.key.startswith(CLIENT))
        },
    )


async def save(tables: Tables, partner: Partner) -> None:
    """Write the partner, its clients and the index of its tenant; may be repeated."""
    changes = [
        (
            "upsert",
            Row(
                partner.partner_id,
                PARTNER_KEY,
                {
                    "tenant_id": partner.tenant_id,
                    "name": partner.name,
                    "created_at": to_text(partner.created_at),
                },
            ),
        )
    ]
    changes += [("upsert", _row(partner.partner_id, item)) for item in partner.clients.values()]
    await tables[TABLE].batch(changes)
    await tables[TABLE].upsert(
        Row(_index(partner.tenant_id), PARTNER_KEY, {"partner_id": partner.partner_id})
    )


def _row(partner_id: str, client: Client) -> Row:
    values = {"client_id": client.client_id, "name": client.name}
    if client.customers is not None:
        values["only"] = orjson.dumps(sorted(client.customers)).decode()
    return Row(partner_id, CLIENT + client.client_id, values)


def _client(row: Row) -> Client:
    only = row.values.get("only")
    return Client(
        client_id=row.values["client_id"],
        name=row.values["name"],
        customers=None if only is None else frozenset(orjson.loads(only)),
    )
