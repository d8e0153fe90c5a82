"""A batch of an entity's operations: out with the state, in with results, in one transaction."""

import logging
from dataclasses import dataclass
from typing import Any

from durabletask.internal import orchestrator_service_pb2 as pb

from local.host.taskhub.sqlite import entities, events, instances, messages
from local.host.taskhub.sqlite.effects import BatchOver
from local.host.taskhub.sqlite.entities import Operation
from local.host.taskhub.sqlite.limits import Refused, check_payload
from local.host.taskhub.sqlite.messages import Kind
from local.host.taskhub.sqlite.store import Transaction

logger = logging.getLogger(__name__)

MOST_OPERATIONS = 500
MOST_BYTES = 1024 * 1024
"""Of operations in one batch; a single larger one goes alone."""


@dataclass(frozen=True, slots=True)
class BegunBatch:
    """A batch that is handed out: its operations and its serialised request."""

    key: int
    operations: list[Operation]
    request: bytes


class NothingDone(RuntimeError):
    """A worker answered a batch without a result and without a failure."""


def begin(tx: Transaction, key: int, most: int = MOST_OPERATIONS) -> BegunBatch | None:
    """Put a batch together. Nothing is written: one that is lost is begun again."""
    entity = entities.by_key(tx, key)
    if entity is None:
        return None
    taken: list[Operation] = []
    size = 0
    for operation in entities.runnable(tx, entity, most):
        size += len(operation[4])
        if taken and size > MOST_BYTES:
            break
        taken.append(operation)
    if not taken:
        return None
    request = pb.EntityRequest(instanceId=entity.id, executionId=str(entity.key))
    (state,) = tx.db.execute("SELECT state FROM entities WHERE key = ?", (key,)).fetchone()
    if state is not None:
        request.entityState.value = state
    for operation in taken:
        request.operationRequests.add().MergeFromString(operation[4])
    return BegunBatch(key, taken, request.SerializeToString())


def complete(tx: Transaction, begun: BegunBatch, response: Any) -> None:
    """Commit a batch: state, results to the callers, signals and starts out, operations in.

    What has no result stays in the backlog, unless the worker says that the batch failed.
    Raises NothingDone, and keeps nothing, when there is neither.
    """
    tx.effects.append(BatchOver(begun.key))
    if entities.by_key(tx, begun.key) is None:
        return
    results = list(response.results)[: len(begun.operations)]
    if response.HasField("failureDetails"):
        results += [_failed(response.failureDetails)] * (len(begun.operations) - len(results))
    if not results:
        raise NothingDone("the worker answered a batch of operations without a result")
    actions = list(response.actions)
    state = events.text_of(response, "entityState") or None
    try:
        check_payload("the entity's state", state)
    except Refused as refused:
        # None of the batch is kept; its callers are told.
        results = [_failed(events.failure("PayloadTooLarge", refused.message))] * len(results)
        tx.db.execute("UPDATE entities SET losses = 0 WHERE key = ?", (begun.key,))
        actions = []
    else:
        tx.db.execute(
            "UPDATE entities SET state = ?, modified = ?, losses = 0 WHERE key = ?",
            (state, tx.now, begun.key),
        )
    done = begun.operations[: len(results)]
    tx.db.executemany("DELETE FROM operations WHERE seq = ?", [(row[0],) for row in done])
    for operation, result in zip(done, results, strict=True):
        _answer(tx, operation, result)
    for action in actions:
        _act(tx, action)
    entities.settle(tx, begun.key)


def _failed(details: Any) -> Any:
    result = pb.OperationResult()
    result.failure.failureDetails.CopyFrom(details)
    return result


def _answer(tx: Transaction, operation: Operation, result: Any) -> None:
    """Tell the generation that called; a signal's result, or its failure, is nobody's."""
    _, kind, caller, generation, content = operation
    asked = pb.HistoryEvent.FromString(content)
    if kind != entities.Asked.CALL or caller is None:
        if result.HasField("failure"):
            signalled = asked.entityOperationSignaled
            why = result.failure.failureDetails.errorMessage
            logger.warning(
                "%s: the signal '%s' failed: %s",
                signalled.targetInstanceId.value,
                signalled.operation,
                why,
            )
        return
    instance = messages.by_key(tx, caller)
    if instance is None or instance.completed is not None or instance.generation != generation:
        return
    request_id = asked.entityOperationCalled.requestId
    answer = events.event(tx.now)
    if result.HasField("failure"):
        answer.entityOperationFailed.requestId = request_id
        answer.entityOperationFailed.failureDetails.CopyFrom(result.failure.failureDetails)
    else:
        answer.entityOperationCompleted.requestId = request_id
        if result.success.HasField("result"):
            answer.entityOperationCompleted.output.CopyFrom(result.success.result)
    messages.put(tx, caller, Kind.RESULT, answer)
    messages.wake(tx, caller)


def _act(tx: Transaction, action: Any) -> None:
    """A signal to another entity, or a new orchestration. Nobody hears of one that is refused."""
    try:
        if action.HasField("sendSignal"):
            asked = action.sendSignal
            signalled = pb.EntityOperationSignaledEvent(operation=asked.name)
            signalled.targetInstanceId.value = asked.instanceId
            for field in ("input", "scheduledTime"):
                if asked.HasField(field):
                    getattr(signalled, field).CopyFrom(getattr(asked, field))
            entities.signal(tx, signalled)
        elif action.HasField("startNewOrchestration"):
            instances.start(tx, instances.started_by_entity(action.startNewOrchestration))
    except Refused as refused:
        logger.warning("an entity's action was refused: %s", refused.message)
