"""Who calls a route: credentials checked, the right required, the scope handed on."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Header, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from functions.api import confirming, manners
from shared.access import rules, service
from shared.access.api_keys import SCHEME
from shared.access.contexts import MspAccessDisabled
from shared.access.grants import UserUnknown
from shared.access.identity import PartnerIdentity
from shared.access.ip_ranges import Address, caller_address
from shared.access.model import Caller, Identity, Scope
from shared.access.permissions import CUSTOMER_RIGHTS, OPERATOR_RIGHTS, RIGHTS
from shared.access.rules import PartnerUnknown, RoleMissing
from shared.bootstrap import Deps, deps
from shared.kit.errors import Unauthorized
from shared.kit.ids import CUSTOMER_LENGTH

bearer = HTTPBearer(
    auto_error=False,
    scheme_name="entra",
    bearerFormat="JWT",
    description="Access token of Microsoft Entra for this API, of a user or an application; "
    "or an API key (hfk_…).",
)
api_key = APIKeyHeader(
    name="X-Api-Key",
    auto_error=False,
    scheme_name="apiKey",
    description="An API key (hfk_…), for tools that cannot set Authorization.",
)

CONTEXT_HEADER = "Holdfast-Context"
Dependency = Callable[..., Coroutine[Any, Any, Caller]]


def requires(right: str, *, own: str | None = None, outside: bool = False) -> Dependency:
    """A dependency that yields the caller when it holds the right; 401 or 403 otherwise.

    There is no default and no fallback: a route without it has no caller and can reach no data.
    `own` is the right that a tenant's end user needs instead, for own data only. `outside` routes
    never run inside a context: they open and close it.
    """
    if right not in RIGHTS.keys() | CUSTOMER_RIGHTS.keys() | OPERATOR_RIGHTS.keys():
        raise KeyError(right)

    async def caller(
        request: Request,
        credentials: HTTPAuthorizationCredentials | None = Security(bearer),
        key: str | None = Security(api_key),
        context: str | None = Header(
            default=None,
            alias=CONTEXT_HEADER,
            max_length=64,
            description="Id of the context to act in: the call then is the customer's.",
        ),
    ) -> Caller:
        given, address = deps(), address_of(request)
        grants = confirming.source(request.scope, given.grants)
        identity = await _identify(given, credentials, key, address, grants)
        # Noted before anything is refused: a refusal is audited with who it was.
        request.state.identity = identity
        await manners.identified(request, identity)
        if context is not None and not outside:
            if not isinstance(identity, PartnerIdentity):
                raise PartnerUnknown("A context is for users of a partner; leave it out.")
            identity = await given.doors.enter(identity, context, address)
            request.state.identity = identity
        found = identity.allow(right, own=own)
        for value in request.path_params.values():
            check_open(found.scope, str(value))
        request.state.caller = found
        await manners.admitted(request, found)
        return found

    caller.permission = right  # type: ignore[attr-defined]
    return caller


def address_of(request: Request) -> Address | None:
    """Where the call comes from, as our own front end saw it."""
    hops = ",".join(request.headers.getlist("x-forwarded-for"))
    return caller_address(hops, request.client.host if request.client else None)


def check_open(scope: Scope, some_id: str) -> None:
    """`MspAccessDisabled` (403) for anything of a customer that has closed its door (CUS-22).

    Every id below a customer starts with the customer's. Customers outside the caller's scope
    are left to the repositories, which know nothing of them.
    """
    customer_id = some_id[:CUSTOMER_LENGTH]
    if customer_id in scope.closed and scope.sees(customer_id):
        raise MspAccessDisabled("Licensing can still be read; everything else is the customer's.")


async def _identify(
    given: Deps,
    credentials: HTTPAuthorizationCredentials | None,
    key: str | None,
    address: Address | None,
    grants: confirming.Source,
) -> Identity:
    if key is not None and credentials is not None:
        raise Unauthorized("Send either Authorization or X-Api-Key, not both.")
    text = key if key is not None else credentials.credentials if credentials else None
    if text is None:
        raise Unauthorized("Send 'Authorization: Bearer <access token>'.")
    if key is not None or text.startswith(SCHEME):
        return await service.identify_key(given, text, address, grants)
    claims = await service.read_token(given, text)
    refused: UserUnknown | RoleMissing | None = None
    try:
        partner = await service.identify_partner(given, claims, address, grants)
    except (UserUnknown, RoleMissing) as stranger:
        # A partner may be a customer of its own (CUS-12), with users who are not the partner's.
        partner, refused = None, stranger
    if partner is not None:
        return partner
    customer = await _customer_user(given, claims, address)
    if customer is None:
        raise refused or PartnerUnknown("Ask us to register your tenant as a partner.")
    return customer


async def _customer_user(
    given: Deps, claims: dict[str, Any], address: Address | None
) -> Identity | None:
    if claims.get("idtyp") == "app" or rules.DELEGATED_SCOPE not in str(claims.get("scp")).split():
        return None
    return await given.doors.identify(
        claims["tid"], rules.subject_of(claims), rules.sign_in_name(claims), address
    )
