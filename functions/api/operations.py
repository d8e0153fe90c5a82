"""Operations: where long work of any kind stands."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from functions.api.security import requires
from shared.access.model import Caller
from shared.bootstrap import Deps, deps
from shared.kit import ids
from shared.kit.errors import NotFound
from shared.kit.operations import Operation

router = APIRouter(prefix="/operations", tags=["operations"])

RETRY_SECONDS = 2


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


async def _read(given: Deps, caller: Caller, operation_id: str) -> Operation:
    """The reader is chosen by the letter of the id's kind; each checks the scope itself."""
    match ids.kind_of(operation_id):
        case ids.ONBOARDING:
            from shared.onboarding.service import onboarding_operation

            return await onboarding_operation(given, caller.scope, operation_id)
        case ids.SESSION:
            from shared.protection.operation import session_operation

            scope = caller.allow("sessions.read").scope
            return await session_operation(given, scope, operation_id)
        case ids.RESTORE:
            from shared.restore.service import restore_operation

            scope = caller.allow("restores.read").scope
            return await restore_operation(given, scope, operation_id)
    raise NotFound(f"There is no operation with the id {operation_id[:64]!r}.")
