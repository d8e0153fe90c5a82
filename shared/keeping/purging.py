"""What of an erased person stands in our own tables: names, addresses, subjects, blanked."""

from functools import partial
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.keeping.model import Erasure
from shared.protection import changes
from shared.protection import repository as protection
from shared.protection.model import ProtectedObject, Session
from shared.restore import repository as restores

if TYPE_CHECKING:
    from shared.bootstrap import Deps

BLANK = "(erased)"
PURGED = (
    "names and addresses in tables and session logs",
    "names of items in the results of restores",
)
"""As the certificate says it."""
_PAGE = 200


async def purge(deps: "Deps", scope: Scope, asked: Erasure) -> None:
    """Blank the erased objects everywhere; may run twice and be cut off."""
    erased = set(asked.object_ids)
    blank: dict[str, object] = {
        "display_name": BLANK,
        "address": "",
        "last_point": None,
        "last_error": None,
    }
    for object_id in asked.object_ids:
        await changes.change_object(deps.tables, scope, object_id, partial(_blanked, blank))
    now = deps.clock.now()
    async for session in protection.list_customer_sessions(
        deps.tables, scope, asked.customer_id, before=now
    ):
        await _purge_session(deps, session, erased)
    await _purge_restores(deps, scope, asked.customer_id, erased)


async def _purge_session(deps: "Deps", session: Session, erased: set[str]) -> None:
    for shard in range(session.shards):
        for run in await protection.list_runs(deps.tables, session, shard):
            if run.object_id in erased:
                to = {"display_name": BLANK, "address": "", "failed_items": []}
                await protection.put_run(deps.tables, session, run.model_copy(update=to))
    logs = deps.tables["SessionLogs"]
    async for row in logs.query(session.session_id):
        if row.values.get("object_id") in erased:
            row.values["message"] = BLANK
            await logs.upsert(row)


async def _purge_restores(deps: "Deps", scope: Scope, customer_id: str, erased: set[str]) -> None:
    """Subjects and folders in the ledgers of restores from an erased object."""
    after = ""
    to: dict[str, object] = {"name": BLANK, "folder": [], "notes": [], "error": None}
    while True:
        page = await restores.list_restores(
            deps.tables, scope, customer_id, after=after, limit=_PAGE
        )
        for one in page:
            if one.object_id not in erased:
                continue
            for entry in await restores.list_entries(deps.tables, one.restore_id):
                if entry.name != BLANK:
                    await restores.save_entry(
                        deps.tables, one.restore_id, entry.model_copy(update=to)
                    )
        if len(page) < _PAGE:
            return
        after = page[-1].restore_id


def _blanked(to: dict[str, object], found: ProtectedObject) -> ProtectedObject:
    return found.model_copy(update=to)
