"""Verification of one restore point on demand: chain, rows against the root, every pack.

Bounded parts, each repeatable; the report is signed with the deployment's key, so that whoever
holds it can show it (docs/checking-and-leaving.md checks the vault itself, without us).
"""

import json
from typing import TYPE_CHECKING, Any

from shared.access.model import Scope
from shared.audit.signing import ALGORITHM, key_id
from shared.customers import repository as customers
from shared.keeping import repository
from shared.keeping.model import VERIFICATION, CheckState, Finding, Verification
from shared.kit import ids
from shared.kit.clock import to_text
from shared.kit.errors import HoldfastError
from shared.kit.operations import Operation, OperationError, OperationStatus, Step, StepState
from shared.protection import repository as protection
from shared.protection.browsing import open_point, ref_of
from shared.protection.model import ProtectedObject
from shared.protection.vaults import open_vault
from shared.vault import scrub, upkeep
from shared.vault.service import Vault

if TYPE_CHECKING:
    from shared.bootstrap import Deps

PACKS_PER_PART = 64
MOST_FINDINGS = 100


async def request(
    deps: "Deps", scope: Scope, object_id: str, n: int, *, requested_by: str
) -> Verification:
    """A new verification of a restore point that is offered; the caller starts its process."""
    opened = await open_point(deps, scope, object_id, n)
    now = deps.clock.now()
    customer_id = opened.found.customer_id
    made = Verification(
        verification_id=ids.newest_first(customer_id, VERIFICATION, now),
        partner_id=opened.found.partner_id,
        customer_id=customer_id,
        object_id=object_id,
        n=n,
        requested_by=requested_by,
        created_at=now,
        updated_at=now,
        root=opened.head.root,
        record_hash=opened.head.record_hash,
    )
    await repository.add(deps.tables, customer_id, made.verification_id, made)
    return made


async def get(deps: "Deps", scope: Scope, verification_id: str) -> Verification:
    """NotFound when unknown or outside the scope."""
    return await repository.get(deps.tables, scope, verification_id, VERIFICATION, Verification)


async def check_part(deps: "Deps", scope: Scope, verification_id: str, part: int) -> bool:
    """Part 0 checks chain and rows, the following ones packs; whether there is more. Repeatable."""
    job = await get(deps, scope, verification_id)
    if job.state is not CheckState.RUNNING:
        return False
    vault, found = await _vault(deps, scope, job)
    oid = await vault.oid(ref_of(found))
    up = await vault.upkeep()
    point = next((one for one in await up.points(oid) if one.n == job.n), None)
    packs = sorted(name for name in (point.needs if point else ()) if "/p/" in name)
    done, items = scrub.Scrubbed(), job.items
    if part == 0:
        done = await scrub.scrub_chain(up, oid)
        try:
            snapshot = await vault.open_snapshot(ref_of(found), job.n)
            items = await snapshot.check_rows()
        except HoldfastError as wrong:
            done.note("V42", getattr(wrong, "blob", "") or f"snapshot {job.n}", wrong)
    else:
        mine = packs[(part - 1) * PACKS_PER_PART : part * PACKS_PER_PART]
        done = await scrub.scrub_named(up, await vault.keys_of(oid), mine)
    if point is not None:
        for name in point.broken:
            done.note("V34", name, f"snapshot {job.n} needs it and it is damaged")
    await upkeep.note_damage(up.control, oid, [f.blob for f in done.findings if f.rule != "V45"])
    reached = min(len(packs), part * PACKS_PER_PART)
    found_here = [Finding(rule=f.rule, blob=f.blob, what=f.what) for f in done.findings]

    def noted(at: Verification) -> Verification | None:
        if at.state is not CheckState.RUNNING or (part and at.packs_done >= reached):
            return None  # a repeat of this part
        known = [one for one in found_here if one not in at.findings]
        return at.model_copy(
            update={
                "packs": len(packs),
                "packs_done": reached,
                "items": items,
                "bytes": at.bytes + done.bytes,
                "findings": [*at.findings, *known][:MOST_FINDINGS],
                "updated_at": deps.clock.now(),
            }
        )

    await _change(deps, scope, verification_id, noted)
    return reached < len(packs)


async def seal(deps: "Deps", scope: Scope, verification_id: str, error: str | None) -> CheckState:
    """The outcome, from what was found, with a signed report. May run twice."""
    job = await get(deps, scope, verification_id)
    if job.state is not CheckState.RUNNING:
        return job.state
    now = deps.clock.now()
    state = CheckState.DAMAGED if job.findings else CheckState.VERIFIED
    if error is not None or (not job.findings and job.packs_done < job.packs):
        state = CheckState.FAILED
    statement = {
        "kind": "verification",
        "id": job.verification_id,
        "object": job.object_id,
        "snapshot": job.n,
        "root": job.root,
        "recordHash": job.record_hash,
        "items": job.items,
        "packs": job.packs_done,
        "bytes": job.bytes,
        "findings": [one.model_dump() for one in job.findings],
        "result": state.value,
        "ended": to_text(now),
    }
    report = await signed(deps, statement)

    def sealed(at: Verification) -> Verification | None:
        if at.state is not CheckState.RUNNING:
            return None
        update = {"state": state, "error": error, "report": report, "updated_at": now}
        return at.model_copy(update=update)

    return (await _change(deps, scope, verification_id, sealed)).state


async def signed(deps: "Deps", statement: dict[str, Any]) -> dict[str, Any]:
    """The statement as canonical text with the deployment's signature over it."""
    text = json.dumps(statement, sort_keys=True, separators=(",", ":"))
    pem = await deps.signer.public_pem()
    return {
        "statement": text,
        "algorithm": ALGORITHM,
        "keyId": key_id(pem),
        "signature": (await deps.signer.sign(text.encode())).hex(),
    }


async def verification_operation(deps: "Deps", scope: Scope, verification_id: str) -> Operation:
    """A verification as an operation."""
    job = await get(deps, scope, verification_id)
    over = job.state is not CheckState.RUNNING
    status = {
        CheckState.RUNNING: OperationStatus.RUNNING,
        CheckState.VERIFIED: OperationStatus.SUCCEEDED,
        CheckState.DAMAGED: OperationStatus.FAILED,
        CheckState.FAILED: OperationStatus.FAILED,
    }[job.state]
    error = None
    if job.state is CheckState.DAMAGED:
        first = job.findings[0]
        detail = f"{len(job.findings)} findings; the first: {first.rule} {first.blob}"
        error = OperationError(code="VAULT_DAMAGED", detail=detail)
    elif job.state is CheckState.FAILED:
        error = OperationError(code="VERIFICATION_FAILED", detail=job.error or "It was cut off.")
    percent = 100 if over else 100 * job.packs_done // max(job.packs, 1)
    return Operation(
        id=job.verification_id,
        kind="verification",
        status=status,
        created_at=job.created_at,
        updated_at=job.updated_at,
        percent_complete=percent,
        steps=[
            Step(
                name="Check packs",
                state=StepState.SUCCEEDED if over and error is None else StepState.RUNNING,
                message=f"{job.packs_done} of {job.packs} packs, {job.items} items",
            )
        ],
        error=error,
        result={"objectId": job.object_id, "snapshot": job.n, "root": job.root} if over else None,
    )


async def _change(deps: "Deps", scope: Scope, some_id: str, decide: Any) -> Verification:
    return await repository.change(deps.tables, scope, some_id, VERIFICATION, Verification, decide)


async def _vault(deps: "Deps", scope: Scope, job: Verification) -> tuple[Vault, ProtectedObject]:
    found = await protection.get_object(deps.tables, scope, job.object_id)
    customer = await customers.get(deps.tables, scope, job.customer_id)
    return await open_vault(deps, customer, found.repository_id), found
