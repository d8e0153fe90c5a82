"""What the activities of a drill do: draw objects, read items of one back, sign the report.

Only reads (vault.md V66), unless somebody asked for a scratch folder (scratch.py). What is proved
is that the stored bytes can be decrypted, are the bytes of their hash, stand under the root that
the customer holds a receipt of, and are what they say they are.
"""

import random
from typing import TYPE_CHECKING

import orjson

from shared.access.model import Scope
from shared.audit.signing import ALGORITHM, key_id
from shared.drills import repository, rules, scratch
from shared.drills.formats import FormatWrong, parse
from shared.drills.model import Check, Drill, DrillState, Sampled
from shared.drills.tasks import DrillPlan, DrillTask
from shared.kit.errors import HoldfastError
from shared.notifications import service as notifications
from shared.notifications.model import Topic
from shared.protection import browsing
from shared.protection import repository as protection
from shared.protection.browsing import Opened
from shared.vault.format.primitives import b64u
from shared.vault.format.proofs import proof_holds
from shared.vault.model import Row

if TYPE_CHECKING:
    from shared.bootstrap import Deps

# What is parsed whole; a larger item is read to its end and hashed, piece by piece.
PARSED_BYTES = 32 << 20


async def plan_drill(deps: "Deps", task: DrillTask) -> DrillPlan:
    """Draw the objects; a repeat finds them drawn."""
    scope, now = Scope(task.partner_id), deps.clock.now()
    drill = await repository.get(deps.tables, scope, task.drill_id)
    drawn = drill.objects
    if drill.state is DrillState.QUEUED:
        found = await protection.list_objects(deps.tables, scope, drill.customer_id)
        drawn = rules.draw(found, drill.drill_id)

    def started(drill: Drill) -> Drill | None:
        if drill.state is not DrillState.QUEUED:
            return None
        update = {
            "state": DrillState.RUNNING, "started_at": now, "updated_at": now, "objects": drawn,
        }  # fmt: skip
        return drill.model_copy(update=update)

    drill = await repository.change(deps.tables, scope, task.drill_id, started)
    return DrillPlan(objects=[] if drill.is_over else drill.objects)


async def drill_object(deps: "Deps", task: DrillTask) -> None:
    """Read some items of one object back, and note what was found."""
    scope = Scope(task.partner_id)
    found = await protection.get_object(deps.tables, scope, task.object_id)
    sampled = Sampled(
        object_id=found.object_id,
        workload=found.workload,
        display_name=found.display_name,
        snapshot=found.last_point.n if found.last_point else 0,
    )
    drill = await repository.get(deps.tables, scope, task.drill_id)
    try:
        opened = await browsing.open_point(deps, scope, task.object_id, sampled.snapshot)
        sampled.root, sampled.record_hash = opened.head.root, opened.head.record_hash
        draw = random.Random(rules.seed_of(task.drill_id, task.object_id))  # noqa: S311  no secret
        for source_id in await _sample(opened, draw):
            sampled.checks.append(await _check(opened, source_id))
        if drill.mode == "scratch" and not drill.is_over:
            await scratch.restore_sample(deps, scope, drill, found, opened, sampled)
    except HoldfastError as damaged:
        sampled.checks.append(Check(error=damaged.code))
    await repository.save_sampled(deps.tables, task.drill_id, sampled)


async def seal_drill(deps: "Deps", task: DrillTask) -> DrillState:
    """End the drill with its signed report; what it says follows from what was found."""
    scope, now = Scope(task.partner_id), deps.clock.now()
    drill = await repository.get(deps.tables, scope, task.drill_id)
    for object_id in drill.scratch:  # an execution that died left its folder behind
        await scratch.clean(deps, scope, drill.drill_id, object_id)
    if drill.is_over:
        await _alert(deps, drill)
        return drill.state
    sampled = await repository.list_sampled(deps.tables, task.drill_id)
    state = rules.decide_state(sampled, error=task.error)
    report = rules.report_of(drill, state, sampled, now)
    text = canonical(report)
    signed = {
        "report": report,
        "algorithm": ALGORITHM,
        "keyId": key_id(await deps.signer.public_pem()),
        "publicKey": (await deps.signer.public_pem()).decode(),
        "signature": b64u(await deps.signer.sign(text)),
    }
    by_workload: dict[str, int] = {}
    for one in sampled:
        by_workload[one.workload] = by_workload.get(one.workload, 0) + len(one.checks)

    def ended(found: Drill) -> Drill | None:
        if found.is_over:
            return None
        update = {
            "state": state,
            "ended_at": now,
            "updated_at": now,
            "items": sum(len(one.checks) for one in sampled),
            "bytes": sum(check.bytes for one in sampled for check in one.checks),
            "failed": sum(one.failed for one in sampled),
            "restored": sum(check.way == "restored" for one in sampled for check in one.checks),
            "workloads": by_workload,
            "report": signed,
            "error": task.error,
        }
        return found.model_copy(update=update)

    sealed = await repository.change(deps.tables, scope, task.drill_id, ended)
    await _alert(deps, sealed)
    return sealed.state


async def _alert(deps: "Deps", drill: Drill) -> None:
    """A drill that found something, or could not look, is told like a backup that failed; once."""
    if drill.state in {DrillState.FAILED, DrillState.BROKEN}:
        await notifications.tell(
            deps.tables, drill.customer_id, Topic.BACKUP_FAILED, subject=drill.drill_id,
            outcome=drill.state.value, at=drill.ended_at or drill.updated_at,
        )  # fmt: skip


def canonical(report: dict[str, object]) -> bytes:
    """The bytes that are signed: members sorted, no white space, UTF-8 (RFC 8785 for this JSON)."""
    return orjson.dumps(report, option=orjson.OPT_SORT_KEYS)


async def _sample(opened: Opened, draw: random.Random) -> list[str]:
    """Source ids of some items with content: every one is as likely, memory does not grow."""
    chosen: list[str] = []
    seen = 0
    async for row in opened.snapshot.rows():
        if not row.has_content:
            continue
        seen += 1
        if len(chosen) < rules.ITEMS_PER_OBJECT:
            chosen.append(row.source_id)
        elif (at := draw.randrange(seen)) < rules.ITEMS_PER_OBJECT:
            chosen[at] = row.source_id
    return chosen


async def _check(opened: Opened, source_id: str) -> Check:
    row = await opened.snapshot.row(source_id)
    if row is None:
        return Check(error="ITEM_NOT_FOUND_BY_ID")
    check = Check(
        item_key=opened.key(row), name=row.name[:200], kind=row.kind,
        content_hash=row.item.get("d"),
    )  # fmt: skip
    try:
        check.bytes = await _read(opened, row)
        if not proof_holds(await opened.snapshot.proof(source_id)):
            check.error = "PROOF_BROKEN"
    except FormatWrong:
        check.error = "FORMAT_WRONG"
    except HoldfastError as damaged:
        check.error = damaged.code
    return check


async def _read(opened: Opened, row: Row) -> int:
    """Bytes read; the reading itself verifies them (V65)."""
    size, kept = 0, bytearray()
    async for data in opened.snapshot.content(row):
        size += len(data)
        if row.size <= PARSED_BYTES:
            kept += data
    if row.size <= PARSED_BYTES:
        parse(row.item, bytes(kept))
    return size
