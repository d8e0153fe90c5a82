"""What every route does the same way, between the check of the token and the route's own work.

`functions.api.security.requires` calls `identified` as soon as the caller is known and `admitted`
once its permission is, so that no route can leave them out.
"""

from fastapi import Request

from functions.api import exchange
from shared.access.model import Caller, Identity


async def identified(request: Request, identity: Identity) -> None:
    """The caller is known: count the request."""
    request.state.identity = identity


async def admitted(request: Request, caller: Caller) -> None:
    """The caller may do it: preconditions, idempotency, the line that announces a change."""
    exchange.of(request.scope).caller = caller
