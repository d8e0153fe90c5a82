"""Operations: where long work of any kind stands; ending it early."""

from typing import Annotated

from fastapi import Depends, Response

from functions.api.exports import cancel as cancel_export
from functions.api.onboarding import cancel as cancel_onboarding
from functions.api.restores import cancel as cancel_restore
from functions.api.routing import Router
from functions.api.security import requires
from functions.api.sessions import stop as stop_session
from functions.binding import WITH_DURABLE
from shared.access.model import Caller
from shared.bootstrap import Deps, deps
from shared.customers import batch_edits
from shared.export.service import export_operation
from shared.keeping import model as keeping
from shared.keeping.verifying import verification_operation
from shared.kit import ids
from shared.kit.errors import Conflict, NotFound
from shared.kit.operations import Operation
from shared.onboarding.service import get_run, onboarding_operation
from shared.protection.operation import session_operation
from shared.restore.service import restore_operation

router = Router(prefix="/operations", tags=["operations"])

RETRY_SECONDS = 2


class OperationEnded(Conflict):
    """Nothing runs any more."""

    code, title = "OPERATION_ENDED", "The operation has ended"


@router.get("/{operation_id}", operation_id="operations_get", summary="Read an operation")
async def get(
    operation_id: str,
    response: Response,
    caller: Annotated[Caller, Depends(requires("customers.read"))],
) -> Operation:
    """Poll until `status` is Succeeded, Failed or Canceled; wait `Retry-After` seconds between."""
    found = await _read(deps(), caller, operation_id)
    if not found.is_final:
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return found


@router.post(
    "/{operation_id}:cancel",
    operation_id="operations_cancel",
    summary="Cancel an operation",
    status_code=202,
    openapi_extra=WITH_DURABLE,
)
async def cancel(
    operation_id: str,
    response: Response,
    caller: Annotated[Caller, Depends(requires("customers.read"))],
) -> Operation:
    """Stops a session, a restore, an onboarding, a batch edit: needs the right to start one.

    409 when it has ended already. Poll on: it is Canceled when what had begun is tidied up.
    """
    if operation_id.startswith(batch_edits.PREFIX):
        return await _cancel_batch(operation_id, response, caller.allow("licences.write"))
    match ids.kind_of(operation_id):
        case ids.ONBOARDING:
            return await _cancel_onboarding(operation_id, response, caller)
        case ids.SESSION:
            return await stop_session(operation_id, response, caller.allow("sessions.start"))
        case ids.RESTORE:
            return await cancel_restore(operation_id, response, caller.allow("restores.start"))
        case ids.EXPORT:
            return await cancel_export(operation_id, response, caller.allow("exports.start"))
    raise _unknown(operation_id)


async def _cancel_onboarding(run_id: str, response: Response, caller: Caller) -> Operation:
    allowed = caller.allow("onboarding.manage")
    found = await onboarding_operation(deps(), allowed.scope, run_id)
    customer_id = ids.customer_of(run_id, ids.ONBOARDING)
    newest = await get_run(deps(), allowed.scope, customer_id)
    if found.is_final or newest.run_id != run_id:
        raise OperationEnded("It has ended; there is nothing to cancel.")
    return await cancel_onboarding(customer_id, response, allowed)


async def _cancel_batch(batch_id: str, response: Response, caller: Caller) -> Operation:
    left = await batch_edits.cancel(deps(), caller.scope, batch_id)
    response.headers["Retry-After"] = str(RETRY_SECONDS)
    return batch_edits.operation_of(left)


def _unknown(operation_id: str) -> NotFound:
    return NotFound(f"There is no operation with the id {operation_id[:64]!r}.")


async def _read(given: Deps, caller: Caller, operation_id: str) -> Operation:
    """The reader is chosen by the letter of the id's kind; each checks the scope itself."""
    if operation_id.startswith(batch_edits.PREFIX):
        scope = caller.allow("licences.read").scope
        return batch_edits.operation_of(await batch_edits.follow(given, scope, operation_id))
    match ids.kind_of(operation_id):
        case ids.ONBOARDING:
            return await onboarding_operation(given, caller.scope, operation_id)
        case ids.SESSION:
            scope = caller.allow("sessions.read").scope
            return await session_operation(given, scope, operation_id)
        case keeping.VERIFICATION:
            scope = caller.allow("objects.read").scope
            return await verification_operation(given, scope, operation_id)
        case ids.RESTORE:
            scope = caller.allow("restores.read").scope
            return await restore_operation(given, scope, operation_id)
        case ids.EXPORT:
            scope = caller.allow("exports.read").scope
            return await export_operation(given, scope, operation_id)
    raise _unknown(operation_id)
