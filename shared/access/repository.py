"""The partner's own row, and the index from a home tenant to its partner."""

from shared.access.model import Partner
from shared.kit.clock import from_text, to_text
from shared.kit.tables import Row, Tables

TABLE = "Access"
PARTNER_KEY = "partner"


def _index(tenant_id: str) -> str:
    return f"tenant~{tenant_id.lower()}"


async def find_id(tables: Tables, tenant_id: str) -> str | None:
    """The id of the partner whose home tenant this is."""
    index = await tables[TABLE].find(_index(tenant_id), PARTNER_KEY)
    return str(index.values["partner_id"]) if index else None


async def find_by_tenant(tables: Tables, tenant_id: str) -> Partner | None:
    """The partner whose home tenant this is; None when it is no partner."""
    partner_id = await find_id(tables, tenant_id)
    return await find(tables, partner_id) if partner_id else None


async def find(tables: Tables, partner_id: str) -> Partner | None:
    """The partner: one point read."""
    head = await tables[TABLE].find(partner_id, PARTNER_KEY)
    if head is None:
        return None
    return Partner(
        partner_id=partner_id,
        tenant_id=head.values["tenant_id"],
        name=head.values["name"],
        created_at=from_text(head.values["created_at"]),
    )


async def save(tables: Tables, partner: Partner) -> None:
    """Write the partner and the index of its tenant; may be repeated."""
    values = {
        "tenant_id": partner.tenant_id,
        "name": partner.name,
        "created_at": to_text(partner.created_at),
    }
    await tables[TABLE].upsert(Row(partner.partner_id, PARTNER_KEY, values))
    await tables[TABLE].upsert(
        Row(_index(partner.tenant_id), PARTNER_KEY, {"partner_id": partner.partner_id})
    )
