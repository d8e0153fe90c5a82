"""Resellers of the second tier: invite them, pass seats on, take them back, move them (RES)."""

from datetime import date
from typing import Annotated, Literal

from fastapi import Depends, Request, Response
from pydantic import Field, StringConstraints

from functions.api import licensing
from functions.api.access_models import Email, Id, IfMatch, Name
from functions.api.paging import address
from functions.api.pools import PoolChangedOut, shown
from functions.api.protection_models import PageOf
from functions.api.routing import Router
from functions.api.security import requires
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.kit.api_model import ApiModel, Instant
from shared.kit.etags import strong_etag
from shared.licensing import reading
from shared.licensing.requests import Seats
from shared.resellers import moving, repository, service
from shared.resellers.model import Reseller, ResellerState

router = Router(tags=["resellers"])
Reader = Annotated[Caller, Depends(requires("resellers.read"))]
Writer = Annotated[Caller, Depends(requires("resellers.write"))]


class ResellerIn(ApiModel):
    """How you call it."""

    display_name: Name
    email: Email


class ResellerOut(ResellerIn):
    """A reseller of yours."""

    id: str
    state: ResellerState
    partner_id: str | None = Field(description="Its own id, once it has accepted")
    invited_at: Instant
    invited_by: str
    expires_at: Instant = Field(description="Until when the invitation can be accepted")
    accepted_at: Instant | None

    @classmethod
    def of(cls, found: Reseller) -> "ResellerOut":
        """As the partner above sees it."""
        same = cls.model_fields.keys() - {"id"}
        return cls(id=found.reseller_id, **{name: getattr(found, name) for name in same})


class InvitedOut(ResellerOut):
    """With the invitation: the only time it is shown."""

    token: str = Field(description="For the reseller: POST /reseller-invitations:accept")


class InvitationIn(ApiModel):
    """What you were sent."""

    token: Annotated[str, StringConstraints(min_length=1, max_length=200)]


class JoinedOut(ApiModel):
    """Whose reseller you are now."""

    above_partner_id: str
    accepted_at: Instant | None


class ShareOut(ApiModel):
    """What a reseller has of one of your pools."""

    pool_id: str
    item: str
    passed_on: int
    end: date


class ResellerPoolOut(ApiModel):
    """A pool of yours: how much is passed on, how much is left (RES-03)."""

    id: str
    item: str
    name: str
    source: str
    phase: str
    total: int
    passed_on: int
    assigned: int = Field(description="To customers of your own")
    left: int | None = Field(description="null: without a fixed size")
    end: date


class PassingIn(ApiModel):
    """Seats to a reseller, or back (RES-04, RES-09)."""

    reseller_id: Id
    quantity: Seats


class MoveIn(ApiModel):
    """Seats from one reseller to another."""

    from_reseller_id: Id
    to_reseller_id: Id
    quantity: Seats


@router.get("/resellers", operation_id="resellers_list", summary="List your resellers")
async def list_all(caller: Reader) -> PageOf[ResellerOut]:
    """Those you invited, joined or not (RES-02)."""
    await service.may_resell(deps(), caller.scope)
    found = await repository.list_all(deps().tables, caller.scope)
    return PageOf(value=[ResellerOut.of(each) for each in found])


@router.post(
    "/resellers", operation_id="resellers_invite", summary="Invite a reseller", status_code=201
)
async def invite(body: ResellerIn, response: Response, caller: Writer) -> InvitedOut:
    """Send it the token: it is shown once, and good for 30 days (RES-01)."""
    made, token = await service.invite(
        deps(), caller, display_name=body.display_name, email=body.email
    )
    response.headers["Location"] = address(f"/resellers/{made.reseller_id}")
    return _invited(response, made, token)


@router.get("/resellers/{reseller_id}", operation_id="resellers_get", summary="Read a reseller")
async def get(reseller_id: str, response: Response, caller: Reader) -> ResellerOut:
    """With its ETag."""
    await service.may_resell(deps(), caller.scope)
    return _shown(response, await repository.get(deps().tables, caller.scope, reseller_id))


@router.put("/resellers/{reseller_id}", operation_id="resellers_edit", summary="Edit a reseller")
async def edit(
    reseller_id: str,
    body: ResellerIn,
    response: Response,
    caller: Writer,
    if_match: IfMatch = None,
) -> ResellerOut:
    """How you call it; its own account is its own affair (RES-02)."""
    saved = await service.edit(
        deps(), caller.scope, reseller_id, if_match,
        display_name=body.display_name, email=body.email,
    )  # fmt: skip
    return _shown(response, saved)


@router.delete(
    "/resellers/{reseller_id}",
    operation_id="resellers_remove",
    summary="Remove a reseller",
    status_code=204,
)
async def remove(reseller_id: str, caller: Writer, if_match: IfMatch = None) -> None:
    """409 RESELLER_HOLDS_SEATS until everything that was passed on is back (RES-02)."""
    await service.remove(deps(), caller.scope, reseller_id, if_match)


@router.post(
    "/resellers/{reseller_id}:invite",
    operation_id="resellers_invite_again",
    summary="Invite it again",
)
async def invite_again(reseller_id: str, response: Response, caller: Writer) -> InvitedOut:
    """A new token; the one before is of no use any more."""
    made, token = await service.invite_again(deps(), caller, reseller_id)
    return _invited(response, made, token)


@router.get(
    "/resellers/{reseller_id}/pools",
    operation_id="resellers_pools",
    summary="What a reseller was passed",
)
async def its_pools(reseller_id: str, caller: Reader) -> PageOf[ShareOut]:
    """Of each of your pools; who its customers are is not yours to see (RES-10)."""
    given = deps()
    await service.may_resell(given, caller.scope)
    found = await repository.get(given.tables, caller.scope, reseller_id)
    fields = ShareOut.model_fields
    held = await service.shares(given, caller.scope, found)
    return PageOf(value=[ShareOut(**{f: getattr(each, f) for f in fields}) for each in held])


@router.post(
    "/reseller-invitations:accept",
    operation_id="reseller_invitations_accept",
    summary="Become a reseller",
)
async def accept(
    body: InvitationIn, caller: Annotated[Caller, Depends(requires("settings.write"))]
) -> JoinedOut:
    """Of who invited you: its seats arrive as pools of yours (RES-05). One above you at most."""
    joined = await service.accept(deps(), caller, body.token)
    return JoinedOut(above_partner_id=joined.above, accepted_at=joined.accepted_at)


@router.get("/reseller-pools", operation_id="reseller_pools_list", summary="Your pools to resell")
async def pools(caller: Reader) -> PageOf[ResellerPoolOut]:
    """Total, passed on, left; for those who work with resellers only (RES-03, RES-10)."""
    await service.may_resell(deps(), caller.scope)
    found = await reading.pools(deps().ledgers, caller.scope)
    own = [each for each in found if each["parent_pool"] is None]
    same = ResellerPoolOut.model_fields.keys() - {"id", "left"}
    return PageOf(
        value=[
            ResellerPoolOut(
                id=each["pool_id"], left=each["available"], **{name: each[name] for name in same}
            )
            for each in own
        ]
    )


@router.post("/pools/{pool_id}:passOn", operation_id="pools_pass_on", summary="Pass seats on")
async def pass_on(
    pool_id: str, body: PassingIn, request: Request, caller: Writer
) -> PoolChangedOut:
    """To a reseller; never more out than in (RES-04)."""
    return await _transfer("out", pool_id, body, request, caller)


@router.post("/pools/{pool_id}:takeBack", operation_id="pools_take_back", summary="Take back")
async def take_back(
    pool_id: str, body: PassingIn, request: Request, caller: Writer
) -> PoolChangedOut:
    """What the reseller's customers do not hold (RES-09)."""
    return await _transfer("back", pool_id, body, request, caller)


@router.post("/pools/{pool_id}:move", operation_id="pools_move", summary="Move seats")
async def move(pool_id: str, body: MoveIn, request: Request, caller: Writer) -> PoolChangedOut:
    """From one reseller to another; refused, everything stays where it was."""
    command = licensing.command_of(request, caller)
    with licensing.placed():
        done = await moving.move(
            deps(),
            caller.scope,
            command,
            pool_id=pool_id,
            source_id=body.from_reseller_id,
            target_id=body.to_reseller_id,
            quantity=body.quantity,
        )
        return shown(done, pool_id)


async def _transfer(
    direction: Literal["out", "back"],
    pool_id: str,
    body: PassingIn,
    request: Request,
    caller: Caller,
) -> PoolChangedOut:
    command = licensing.command_of(request, caller)
    with licensing.placed():
        done = await moving.transfer(
            deps(),
            caller.scope,
            command,
            direction,
            pool_id=pool_id,
            reseller_id=body.reseller_id,
            quantity=body.quantity,
        )
        return shown(done, pool_id)


def _shown(response: Response, found: Reseller) -> ResellerOut:
    response.headers["ETag"] = strong_etag(found.etag)
    return ResellerOut.of(found)


def _invited(response: Response, made: Reseller, token: str) -> InvitedOut:
    response.headers["ETag"] = strong_etag(made.etag)
    response.headers["Cache-Control"] = "no-store"
    return InvitedOut(**ResellerOut.of(made).model_dump(), token=token)
