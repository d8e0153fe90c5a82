"""Who calls a route: the bearer token checked, the permission required, the scope handed on."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from functions.api import manners
from shared.access import service
from shared.access.model import Caller, Permission
from shared.bootstrap import deps
from shared.kit.errors import Forbidden, Unauthorized

bearer = HTTPBearer(
    auto_error=False,
    scheme_name="entra",
    bearerFormat="JWT",
    description="Access token of Microsoft Entra for this API: of a user or an application.",
)

PERMISSION = "x-permission"


class PermissionMissing(Forbidden):
    """The caller's roles do not hold the permission of the route."""

    code, title = "PERMISSION_MISSING", "Your role does not allow this"


def requires(permission: str) -> Callable[..., Coroutine[Any, Any, Caller]]:
    """A dependency that yields the caller when it holds the permission; 401 or 403 otherwise.

    There is no default and no fallback: a route without it has no caller and can reach no data.
    """
    needed = Permission(permission)

    async def caller(
        request: Request,
        credentials: HTTPAuthorizationCredentials | None = Security(bearer),
    ) -> Caller:
        if credentials is None:
            raise Unauthorized("Send 'Authorization: Bearer <access token>'.")
        found = await service.authenticate(deps(), credentials.credentials)
        await manners.identified(request, found)
        if needed not in found.permissions:
            raise PermissionMissing(f"This needs the permission {needed.value}.")
        await manners.admitted(request)
        return found

    caller.permission = needed  # type: ignore[attr-defined]
    return caller
