"""The nightly round through a vault: locks, retention, garbage, scrub, checkpoint of its heads.

An object's turn for what is weekly comes by its name, so every night has a seventh of the work.
Everything may run twice; counters are written once per batch.
"""

import hashlib
import json
import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.customers import repository as customers
from shared.customers.model import Customer, CustomerState
from shared.keeping import erasures, repository
from shared.keeping.model import ROUND, Finding, Round
from shared.keeping.tasks import Batch, Kept, RoundTask
from shared.keeping.verifying import signed
from shared.protection import repositories, rules
from shared.protection import repository as protection
from shared.protection.browsing import ref_of
from shared.protection.model import REMOVED, Policy, ProtectedObject
from shared.protection.vaults import open_vault
from shared.vault import garbage, lockkeeper, scrub, upkeep
from shared.vault.errors import UnknownRepository
from shared.vault.format.tree import session_root
from shared.vault.repository import newest_number
from shared.vault.service import Vault

if TYPE_CHECKING:
    from shared.bootstrap import Deps

log = logging.getLogger(__name__)
BATCH = 25
WEEK = 7
MOST = 100
# Findings that say that a blob's bytes are not those that were written.
DAMAGE = frozenset({"V13", "V19", "V33", "V34"})
HEADS = "audit"
"""The container of signed checkpoints; immutable in a deployment."""


async def list_vaults(deps: "Deps", night: str) -> list[RoundTask]:
    """Every repository of every connected customer."""
    found = []
    for partner_id in await (await deps.trail()).partners():
        scope = Scope(partner_id)
        for customer in await customers.list_all(deps.tables, scope):
            if not customer.tenant_id or customer.state is CustomerState.PENDING:
                continue
            found += [
                RoundTask(
                    partner_id=partner_id,
                    customer_id=customer.customer_id,
                    repository_id=one.repository_id,
                    night=night,
                )
                for one in await repositories.list_of(deps, customer)
            ]
    return found


async def open_round(deps: "Deps", task: RoundTask) -> list[Batch]:
    """Keep locks and keys, advance erasures, and cut tonight's objects into batches."""
    scope = Scope(task.partner_id)
    customer = await customers.get(deps.tables, scope, task.customer_id)
    try:
        vault = await open_vault(deps, customer, task.repository_id)
    except UnknownRepository:
        return []  # never backed up: there is nothing to keep
    await erasures.advance_all(deps, customer)
    objects = await _objects(deps, customer, vault, task.repository_id)
    if not objects:
        return []
    up = await vault.upkeep()
    enabled = [one.oid for one in objects if one.enabled]
    wanted = await repositories.recovery_pem(deps, customer)
    if (renewed := await vault.rewrap(wanted)) is not None:
        log.info("vault %s: %s wraps the tenant key with the new key", vault.repo, renewed)
    locks, keys = await lockkeeper.keep_locks(up, enabled), await lockkeeper.keep_keys(up)
    made = Round(
        round_id=round_id(task),
        partner_id=task.partner_id,
        customer_id=task.customer_id,
        repository_id=task.repository_id,
        night=task.night,
        started_at=deps.clock.now(),
        objects=len(objects),
        locks_extended=locks.extended + keys.extended,
        alarms=[*locks.alarms, *keys.alarms][:MOST],
    )
    await repository.add(deps.tables, task.customer_id, made.round_id, made)
    parts = [objects[at : at + BATCH] for at in range(0, len(objects), BATCH)]
    return [Batch(task=task, number=n, objects=part) for n, part in enumerate(parts)]


async def keep_objects(deps: "Deps", batch: Batch) -> None:
    """Retention, garbage and scrub of some objects."""
    task = batch.task
    customer = await customers.get(deps.tables, Scope(task.partner_id), task.customer_id)
    vault = await open_vault(deps, customer, task.repository_id)
    up = await vault.upkeep()
    tally = _Tally()
    for one in batch.objects:
        if one.years is not None:
            await upkeep.promise_retention(
                up, one.oid, timedelta(days=365 * one.years) if one.years else None
            )
        await _keep(vault, up, one, task.night, tally)
    before = batch.number * BATCH

    def noted(at: Round) -> Round | None:
        if at.done > before:
            return None  # a repeat
        return at.model_copy(
            update={
                "done": before + len(batch.objects),
                "condemned": at.condemned + tally.condemned,
                "deleted": at.deleted + tally.deleted,
                "bytes_deleted": at.bytes_deleted + tally.bytes,
                "blobs_checked": at.blobs_checked + tally.checked,
                "alarms": [*at.alarms, *tally.alarms][:MOST],
                "findings": [*at.findings, *tally.findings][:MOST],
            }
        )

    await _change(deps, task, noted)


async def close_round(deps: "Deps", task: RoundTask) -> dict[str, int]:
    """Sign the heads of all objects, end the round; what was found is logged as an error."""
    scope = Scope(task.partner_id)
    customer = await customers.get(deps.tables, scope, task.customer_id)
    vault = await open_vault(deps, customer, task.repository_id)
    heads = [
        [one.oid, one.n, one.record]
        for one in sorted(
            await _objects(deps, customer, vault, task.repository_id), key=lambda each: each.oid
        )
        if one.record
    ]
    place = await repositories.find(deps, customer, task.repository_id)
    root = session_root([bytes.fromhex(str(record)) for _, _, record in heads])
    now = deps.clock.now()
    statement = {
        "kind": "heads",
        "repo": place.vault_id,
        "night": task.night,
        "objects": len(heads),
        "root": root.hex() if heads else None,
    }
    head = await signed(deps, statement)
    blob = json.dumps(head | {"heads": heads}, separators=(",", ":")).encode()
    container = await deps.storage.container(HEADS)
    await container.put(f"heads/{place.vault_id}/{task.night}.json", blob, create_only=False)

    def ended(at: Round) -> Round | None:
        if at.ended_at is not None:
            return None
        return at.model_copy(update={"ended_at": now, "head": head})

    done = await _change(deps, task, ended)
    for one in done.findings:
        log.error("vault %s: %s %s: %s", place.vault_id, one.rule, one.blob, one.what)
    for alarm in done.alarms:
        log.error("vault %s: %s", place.vault_id, alarm)
    return {
        "objects": done.done,
        "deleted": done.deleted,
        "findings": len(done.findings),
        "alarms": len(done.alarms),
    }


async def list_rounds(deps: "Deps", scope: Scope, customer_id: str) -> list[Round]:
    """The rounds of a customer's repositories, newest night first."""
    await customers.get(deps.tables, scope, customer_id)
    found = await repository.list_of(deps.tables, scope, customer_id, ROUND, Round)
    return sorted(found, key=lambda one: (one.night, one.repository_id), reverse=True)


def round_id(task: RoundTask) -> str:
    """One round per repository and night: whoever repeats it finds the first."""
    digest = hashlib.sha256(f"{task.repository_id}/{task.night}".encode()).hexdigest()[:8]
    return f"{task.customer_id}-{ROUND}{task.night.replace('-', '')}{digest}"


def is_turn(oid: str, night: str) -> bool:
    """Whether what is weekly is due for an object tonight: pure."""
    day = datetime.fromisoformat(night).replace(tzinfo=UTC).toordinal()
    return int(hashlib.sha256(oid.encode()).hexdigest()[:8], 16) % WEEK == day % WEEK


def week_of(night: str) -> str:
    """The ISO week: decides which packs the scrub takes."""
    year, week, _ = datetime.fromisoformat(night).isocalendar()
    return f"{year}-W{week:02d}"


class _Tally:
    def __init__(self) -> None:
        self.condemned = self.deleted = self.bytes = self.checked = 0
        self.alarms: list[str] = []
        self.findings: list[Finding] = []

    def scrubbed(self, done: scrub.Scrubbed) -> None:
        self.checked += done.blobs
        self.findings += [Finding(rule=f.rule, blob=f.blob, what=f.what) for f in done.findings]


async def _keep(vault: Vault, up: upkeep.Upkeep, one: Kept, night: str, tally: _Tally) -> None:
    newest = await newest_number(up.store, one.oid)
    facts = await up.facts(one.oid)
    if newest < one.n and facts.gone is None:
        tally.alarms.append(f"o/{one.oid}/ ends at {newest}, snapshot {one.n} was committed (V45)")
    tally.scrubbed(await scrub.scrub_chain(up, one.oid))
    if is_turn(one.oid, night):
        dependencies = await scrub.scrub_dependencies(up, one.oid, enabled=one.enabled)
        tally.scrubbed(dependencies)
        if facts.gone is None and facts.erasing is None:
            keys = await vault.keys_of(one.oid)
            tally.scrubbed(await scrub.scrub_packs(up, keys, seed=week_of(night)))
        if not dependencies.findings:  # garbage is never collected by a damaged head
            tally.condemned += await garbage.condemn(up, one.oid, enabled=one.enabled)
    hurt = [each.blob for each in tally.findings if each.rule in DAMAGE]
    if noted := await upkeep.note_damage(up.control, one.oid, hurt):
        log.error("o/%s/: %d damaged blobs noted for its next backup", one.oid, noted)
    swept = await garbage.sweep(up, one.oid, enabled=one.enabled)
    tally.deleted += len(swept.deleted)
    tally.bytes += swept.bytes
    tally.alarms += [f"{name} was swept and storage refuses (V62)" for name in swept.refused]


async def _objects(
    deps: "Deps", customer: Customer, vault: Vault, repository_id: str
) -> list[Kept]:
    """Every object of the vault; those that the control plane knows with what it knows."""
    scope = Scope(customer.partner_id)
    policies = await protection.list_policies(deps.tables, scope, customer_id=customer.customer_id)
    default = repositories.default_of(customer).repository_id
    known: dict[str, Kept] = {}
    for one in await protection.list_objects(deps.tables, scope, customer.customer_id):
        if (one.repository_id or default) == repository_id:
            oid = await vault.oid(ref_of(one))
            known[oid] = _kept(oid, one, policies, customer)
    held = await (await vault.upkeep()).objects()
    return [known.get(oid, Kept(oid=oid)) for oid in held]


def _kept(oid: str, one: ProtectedObject, policies: list[Policy], customer: Customer) -> Kept:
    services = [str(service) for service in customer.services]
    covering = [
        policy
        for policy in policies
        if one.state != REMOVED and rules.covers(policy, one, services)
    ]
    terms = [rules.kept_years(each.retention_years, customer.retention_years) for each in covering]
    longest = None if not terms else 0 if None in terms else max(t for t in terms if t is not None)
    return Kept(
        oid=oid,
        enabled=any(policy.enabled for policy in covering),
        years=longest,
        n=one.last_point.n if one.last_point else 0,
        record=one.last_point.record if one.last_point else "",
    )


async def _change(deps: "Deps", task: RoundTask, decide):  # type: ignore[no-untyped-def]
    scope = Scope(task.partner_id)
    return await repository.change(deps.tables, scope, round_id(task), ROUND, Round, decide)
