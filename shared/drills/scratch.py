"""A drill that really restores: into a folder of its own, read back through Graph, removed.

Only on request, for it writes into the tenant. Nothing under legal hold is touched, and no object
that its tenant has deleted. An object stands in the drill's row before its first write and until
its folder is gone, so that after a crash the seal, or the next day's clock, removes what is left.
"""

import logging
import time
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.customers import repository as customers
from shared.drills import repository
from shared.drills.model import Check, Drill, Sampled
from shared.kit.errors import HoldfastError
from shared.microsoft365.errors import ConsentLost, GraphError, SliceOver
from shared.microsoft365.scratch import KINDS, Scratch, open_scratch
from shared.protection import repository as protection
from shared.protection.browsing import Opened, find_row, ref_of
from shared.protection.model import DELETED_STATES, ProtectedObject
from shared.protection.vaults import open_vault
from shared.restore.signing import open_transport

if TYPE_CHECKING:
    from shared.bootstrap import Deps

log = logging.getLogger(__name__)

SECONDS = 240
# Larger ones are read back and hashed, not restored: a drill is no load test of the tenant.
LARGEST_BYTES = 8 << 20


async def refusal(deps: "Deps", scope: Scope, found: ProtectedObject) -> str:
    """Why nothing is restored into this object; empty when it may be."""
    if found.workload not in KINDS:
        return "NO_SCRATCH_PLACE"
    if found.state in DELETED_STATES:
        return "TARGET_GONE"
    customer = await customers.get(deps.tables, scope, found.customer_id)
    vault = await open_vault(deps, customer, found.repository_id)
    facts = await (await vault.upkeep()).facts(await vault.oid(ref_of(found)))
    return "UNDER_HOLD" if facts.held else ""


async def restore_sample(
    deps: "Deps", scope: Scope, drill: Drill, found: ProtectedObject, opened: Opened, seen: Sampled
) -> None:
    """Restore what was read back without fault, compare, remove; `seen` tells what came of it."""
    seen.not_restored = await refusal(deps, scope, found)
    if seen.not_restored:
        return
    await _mark(deps, scope, drill.drill_id, found.object_id, is_open=True)
    scratch = await _open(deps, scope, drill, found)
    try:
        for check in seen.checks:
            if check.error is None and check.kind == KINDS[found.workload]:
                await _restore(opened, scratch, check)
    except (ConsentLost, SliceOver) as cut_off:
        seen.not_restored = cut_off.code
    finally:
        await clean(deps, scope, drill.drill_id, found.object_id)


async def clean(deps: "Deps", scope: Scope, drill_id: str, object_id: str) -> bool:
    """Remove the scratch folder of an object, if any; False when it is to be tried again."""
    drill = await repository.get(deps.tables, scope, drill_id)
    found = await protection.get_object(deps.tables, scope, object_id)
    try:
        if found.state not in DELETED_STATES:
            await (await _open(deps, scope, drill, found)).remove()
    except (GraphError, HoldfastError) as refused:
        log.warning("drill %s: a scratch folder is left in %s: %s", drill_id, object_id, refused)
        return False
    await _mark(deps, scope, drill_id, object_id, is_open=False)
    return True


def folder_of(drill_id: str) -> str:
    """The name of a drill's scratch folder: nobody else's, and told from the drill alone."""
    return f"Holdfast drill {drill_id}"


async def _restore(opened: Opened, scratch: Scratch, check: Check) -> None:
    assert check.item_key is not None
    row = await find_row(opened, check.item_key)
    if row.size > LARGEST_BYTES:
        return
    content = b"".join([part async for part in opened.snapshot.content(row)])
    began = time.monotonic()
    try:
        check.differs = await scratch.differs(row.item, content, check.item_key[:12])
    except (ConsentLost, SliceOver):
        raise
    except GraphError as failed:
        check.error, check.differs = "RESTORE_FAILED", str(failed)[:200]
        return
    check.way, check.took_ms = "restored", int((time.monotonic() - began) * 1000)
    if check.differs:
        check.error = "RESTORED_DIFFERS"


async def _open(deps: "Deps", scope: Scope, drill: Drill, found: ProtectedObject) -> Scratch:
    transport = await open_transport(deps, scope, found.customer_id, SECONDS)
    return open_scratch(transport, found.workload, found.source_id, folder_of(drill.drill_id))


async def _mark(
    deps: "Deps", scope: Scope, drill_id: str, object_id: str, *, is_open: bool
) -> None:
    now = deps.clock.now()

    def marked(drill: Drill) -> Drill | None:
        if (object_id in drill.scratch) == is_open:
            return None
        others = [one for one in drill.scratch if one != object_id]
        scratch = [*others, object_id] if is_open else others
        return drill.model_copy(update={"scratch": scratch, "updated_at": now})

    await repository.change(deps.tables, scope, drill_id, marked)
