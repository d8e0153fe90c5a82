"""Batch edits: one change for up to 20 customers, with a result for each (CUS-35, CUS-36).

{batch}               what was asked, by whom; at the end what became of each
{batch}~at~{customer} what became of one: the progress while it runs
{batch}~cancel        somebody wants it to end: customers not yet begun are left alone
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

from shared.access.model import Scope
from shared.customers import licences
from shared.kit.errors import Conflict, HoldfastError, NotFound
from shared.kit.operations import Operation, OperationStatus, Step, StepState
from shared.kit.tables import Row, RowExists
from shared.licensing import service
from shared.licensing.repository import Command
from shared.licensing.requests import Change, Foreseen
from shared.licensing.service import BatchResult, Preview

if TYPE_CHECKING:
    from shared.bootstrap import Deps

TABLE = "Operations"
PREFIX = "batch-"
CANCELED = "Canceled"
_STATES = {
    "Succeeded": StepState.SUCCEEDED,
    "Failed": StepState.FAILED,
    CANCELED: StepState.SKIPPED,
}
_change: TypeAdapter[Foreseen] = TypeAdapter(Change)


class BatchEnded(Conflict):
    """Nothing runs any more."""

    code, title = "OPERATION_ENDED", "The operation has ended"


class BatchEdit(BaseModel):
    """One batch as it is stored: what was asked, by whom, and what became of it."""

    model_config = ConfigDict(frozen=True)

    batch_id: str
    partner_id: str
    actor: str
    customers: tuple[str, ...]
    change: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    results: tuple[dict[str, str], ...] = ()
    is_ended: bool = False
    is_canceled: bool = False


async def begin(
    deps: "Deps", scope: Scope, command: Command, customers: Sequence[str], change: Foreseen
) -> BatchEdit:
    """Write down what is to be done; again under the same command it is the same batch.

    `BatchLimit` (422) over 20 customers.
    """
    now = deps.clock.now()
    batch = BatchEdit(
        batch_id=f"{PREFIX}{command.id}",
        partner_id=scope.partner_id,
        actor=command.actor,
        customers=service.batch_plan(customers),
        change=change.model_dump(mode="json", exclude_unset=True),
        created_at=now,
        updated_at=now,
    )
    try:
        await deps.tables[TABLE].insert(_row(batch))
    except RowExists:
        return await get(deps, scope, batch.batch_id)
    return batch


async def get(deps: "Deps", scope: Scope, batch_id: str) -> BatchEdit:
    """The batch; NotFound when unknown or when it concerns a customer outside the scope."""
    row = await deps.tables[TABLE].find(scope.partner_id, batch_id)
    batch = BatchEdit.model_validate(row.values) if row else None
    if batch is None or not all(scope.covers(each) for each in batch.customers):
        raise NotFound(f"There is no operation with the id {batch_id[:64]!r}.")
    return batch


async def follow(deps: "Deps", scope: Scope, batch_id: str) -> BatchEdit:
    """The batch with what is known so far of each customer."""
    batch = await get(deps, scope, batch_id)
    if batch.is_ended:
        return batch
    found = deps.tables[TABLE].query(scope.partner_id, prefix=f"{batch_id}~at~")
    known = {row.values["customer_id"]: row.values async for row in found}
    told = tuple(known[each] for each in batch.customers if each in known)
    wanted = await _is_canceled(deps, batch)
    return batch.model_copy(update={"results": told, "is_canceled": wanted})


async def preview(
    deps: "Deps", scope: Scope, customers: Sequence[str], change: Foreseen
) -> list[tuple[str, Preview]]:
    """What the batch would do on today's books, one customer after the other (CUS-35).

    Each is decided on what those before would leave: a pool is not promised twice.
    """
    planned = service.batch_plan(customers)
    book = (await deps.ledgers.load(scope, planned)).book
    told = []
    for customer_id in planned:
        try:
            about = await licences.asked(deps, scope, customer_id)
            decision = (await licences.wish_of(deps, about, change)).decide(book)
        except HoldfastError as refusal:
            told.append((customer_id, Preview(False, refusal=refusal)))
            continue
        book = decision.after
        told.append((customer_id, service.foreseen(decision)))
    return told


async def cancel(deps: "Deps", scope: Scope, batch_id: str) -> BatchEdit:
    """Leave alone whoever was not begun; what was done stays done. `BatchEnded` (409)."""
    batch = await get(deps, scope, batch_id)
    if batch.is_ended:
        raise BatchEnded("It has ended; there is nothing to cancel.")
    await deps.tables[TABLE].upsert(Row(scope.partner_id, f"{batch_id}~cancel"))
    return await follow(deps, scope, batch_id)


async def edit_one(deps: "Deps", scope: Scope, batch_id: str, customer_id: str) -> dict[str, str]:
    """One customer of a batch; a refusal is its result. Again does nothing twice."""
    batch = await get(deps, scope, batch_id)
    if batch.is_ended or await _is_canceled(deps, batch):
        return asdict(BatchResult(customer_id, CANCELED, "CANCELED", "It was not begun."))
    told = await _edit(deps, scope, batch, customer_id)
    row = Row(scope.partner_id, f"{batch_id}~at~{customer_id}", told)
    await deps.tables[TABLE].upsert(row)
    return told


async def _edit(deps: "Deps", scope: Scope, batch: BatchEdit, customer_id: str) -> dict[str, str]:
    command = Command(batch.actor, id=batch.batch_id)
    change = _change.validate_python(batch.change)
    try:
        about = await licences.asked(deps, scope, customer_id)
        wish = await licences.wish_of(deps, about, change)
    except HoldfastError as refused:
        return asdict(BatchResult(customer_id, "Failed", refused.code, refused.detail))
    return asdict(await service.batch_edit_one(deps.ledgers, scope, command, customer_id, wish))


async def end(deps: "Deps", scope: Scope, batch_id: str, results: Sequence[dict[str, str]]) -> None:
    """Write what became of each customer; those of whom nothing is said were not begun."""
    batch = await get(deps, scope, batch_id)
    known = {told["customer_id"]: told for told in results}
    left = BatchResult("", CANCELED, "CANCELED", "It was not begun.")
    every = tuple(
        known.get(each) or asdict(replace(left, customer_id=each)) for each in batch.customers
    )
    changed = {
        "results": every,
        "is_ended": True,
        "is_canceled": any(told["status"] == CANCELED for told in every),
        "updated_at": deps.clock.now(),
    }
    await deps.tables[TABLE].upsert(_row(batch.model_copy(update=changed)))


def operation_of(batch: BatchEdit) -> Operation:
    """The batch as long work: a step per customer; it succeeds when every customer was tried."""
    by_customer = {each["customer_id"]: each for each in batch.results}
    steps = []
    for customer_id in batch.customers:
        told = by_customer.get(customer_id)
        state = _STATES[told["status"]] if told else StepState.WAITING
        message = f"{told['code']}: {told['detail']}" if told and told["code"] else ""
        steps.append(Step(name=customer_id, state=state, message=message))
    return Operation(
        id=batch.batch_id,
        kind="batchEdit",
        status=_status(batch),
        created_at=batch.created_at,
        updated_at=batch.updated_at,
        percent_complete=100 * len(batch.results) // len(batch.customers),
        steps=steps,
        result={"customers": [_shown(each) for each in batch.results]} if batch.is_ended else None,
    )


def table_of(batch: BatchEdit) -> list[list[str]]:
    """The results as a table with a heading."""
    return service.batch_export(BatchResult(**each) for each in batch.results)


def _status(batch: BatchEdit) -> OperationStatus:
    if not batch.is_ended:
        return OperationStatus.RUNNING
    return OperationStatus.CANCELED if batch.is_canceled else OperationStatus.SUCCEEDED


async def _is_canceled(deps: "Deps", batch: BatchEdit) -> bool:
    row = await deps.tables[TABLE].find(batch.partner_id, f"{batch.batch_id}~cancel")
    return row is not None


def _shown(told: dict[str, str]) -> dict[str, str]:
    return {"customerId" if name == "customer_id" else name: text for name, text in told.items()}


def _row(batch: BatchEdit) -> Row:
    return Row(batch.partner_id, batch.batch_id, batch.model_dump(mode="json"))
