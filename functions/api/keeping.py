"""Keeping: legal holds, erasures with a second person, verification, what the nights did."""

from typing import Annotated, Any

from fastapi import Depends, Path, Response
from pydantic import Field, StringConstraints

from functions.api.access_models import IfMatch
from functions.api.paging import address
from functions.api.protection_models import RETRY_SECONDS, ObjectId, PageOf
from functions.api.routing import Router
from functions.api.security import requires
from functions.binding import WITH_DURABLE, current_client
from functions.starting import start
from orchestrations.keep import instance_of
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.keeping import erasures, holds, rounds, verifying
from shared.keeping.model import CheckState, Erasure, ErasureState, Hold, Round, Verification
from shared.kit.api_model import ApiModel, Instant
from shared.kit.operations import Operation

router = Router(tags=["keeping"])
Number = Annotated[int, Path(ge=1, le=9_999_999_999)]
Code = Annotated[str, StringConstraints(pattern="^[a-z0-9][a-z0-9.-]{1,63}$")]
HoldReader = Annotated[Caller, Depends(requires("holds.read"))]
HoldWriter = Annotated[Caller, Depends(requires("holds.write"))]
EraseReader = Annotated[Caller, Depends(requires("erasures.read"))]
EraseWriter = Annotated[Caller, Depends(requires("erasures.write"))]


class HoldIn(ApiModel):
    """Why an object is held."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=200)]


class HoldOut(ApiModel):
    """A legal hold: nothing of the object expires."""

    object_id: str
    customer_id: str
    display_name: str
    reason: str
    by: str
    since: Instant

    @classmethod
    def of(cls, hold: Hold) -> "HoldOut":
        """The hold as partners see it."""
        return cls(**{name: getattr(hold, name) for name in cls.model_fields})


class ErasureIn(ApiModel):
    """Whose backups are to be erased."""

    user_id: ObjectId = Field(description="Directory id of the person")
    reason: Code = Field(examples=["gdpr-17"], description="A code without personal data")


class ErasureOut(ApiModel):
    """An erasure: its state and, when it is done, a certificate per repository."""

    id: str
    customer_id: str
    user_id: str
    object_ids: list[str]
    reason: str
    state: ErasureState
    requested_by: str
    requested_at: Instant
    approved_by: str | None
    updated_at: Instant
    certificates: list[dict[str, Any]]

    @classmethod
    def of(cls, found: Erasure) -> "ErasureOut":
        """The erasure as partners see it."""
        same = cls.model_fields.keys() - {"id", "user_id"}
        values = {name: getattr(found, name) for name in same}
        return cls(id=found.erasure_id, user_id=found.subject, **values)


class FindingOut(ApiModel):
    """A rule of the vault that does not hold, and where."""

    rule: str
    blob: str
    what: str


class VerificationOut(ApiModel):
    """One checked restore point; `report` is signed."""

    id: str
    object_id: str
    n: int
    state: CheckState
    created_at: Instant
    updated_at: Instant
    items: int
    packs: int
    packs_done: int
    bytes: int
    root: str
    record_hash: str
    findings: list[FindingOut]
    error: str | None
    report: dict[str, Any] | None = Field(
        description="statement, algorithm, keyId and signature over the statement's bytes"
    )

    @classmethod
    def of(cls, found: Verification) -> "VerificationOut":
        """The verification as partners see it."""
        same = cls.model_fields.keys() - {"id", "findings"}
        values = {name: getattr(found, name) for name in same}
        findings = [FindingOut(**one.model_dump()) for one in found.findings]
        return cls(id=found.verification_id, findings=findings, **values)


class RoundOut(ApiModel):
    """What one night did to one repository."""

    repository_id: str
    night: str
    started_at: Instant
    ended_at: Instant | None
    objects: int
    done: int
    locks_extended: int
    condemned: int
    deleted: int
    bytes_deleted: int
    blobs_checked: int
    alarms: list[str]
    findings: list[FindingOut]
    head: dict[str, Any] | None = Field(description="The signed checkpoint of all heads")

    @classmethod
    def of(cls, found: Round) -> "RoundOut":
        """The round as partners see it."""
        values = {name: getattr(found, name) for name in cls.model_fields.keys() - {"findings"}}
        return cls(findings=[FindingOut(**one.model_dump()) for one in found.findings], **values)


@router.get("/objects/{object_id}/hold", operation_id="holds_get", summary="Read a hold")
async def get_hold(object_id: str, response: Response, caller: HoldReader) -> HoldOut:
    """With its ETag; 404 when the object is not held."""
    return _held(response, await holds.get(deps(), caller.scope, object_id))


@router.put("/objects/{object_id}/hold", operation_id="holds_place", summary="Hold an object")
async def place_hold(
    object_id: str,
    body: HoldIn,
    response: Response,
    caller: HoldWriter,
    if_match: IfMatch = None,
) -> HoldOut:
    """Its restore points do not expire until the hold is lifted (vault.md V58).

    Another reason for a hold that is there needs If-Match; the same reason changes nothing.
    """
    by = caller.principal.subject
    scope = caller.scope
    held = await holds.place(deps(), scope, object_id, if_match, reason=body.reason, by=by)
    return _held(response, held)


@router.delete(
    "/objects/{object_id}/hold",
    operation_id="holds_lift",
    summary="Lift a hold",
    status_code=204,
)
async def lift_hold(object_id: str, caller: HoldWriter, if_match: IfMatch = None) -> None:
    """What had expired meanwhile is no restore point any more; 404 without a hold."""
    await holds.lift(deps(), caller.scope, object_id, if_match)


@router.get("/customers/{customer_id}/holds", operation_id="holds_list", summary="List the holds")
async def list_holds(customer_id: str, caller: HoldReader) -> PageOf[HoldOut]:
    """Every object of the customer that is held, by whom and why."""
    found = await holds.list_holds(deps(), caller.scope, customer_id)
    return PageOf(value=[HoldOut.of(one) for one in found])


@router.post(
    "/objects/{object_id}/snapshots/{n}:verify",
    operation_id="verifications_start",
    summary="Verify a restore point",
    status_code=202,
    openapi_extra=WITH_DURABLE,
)
async def verify(
    object_id: str,
    n: Number,
    response: Response,
    caller: Annotated[Caller, Depends(requires("verifications.start"))],
) -> Operation:
    """Chain, every row against the Merkle root, every entry of every pack; a signed report."""
    given, scope = deps(), caller.scope
    by = caller.principal.subject
    made = await verifying.request(given, scope, object_id, n, requested_by=by)
    name = made.verification_id
    task = {"partner_id": scope.partner_id, "verification_id": name}
    await start(current_client(), "verify_snapshot", instance_of(name), task)
    response.headers["Operation-Location"] = address(f"/operations/{name}")
    response.headers["Location"] = address(f"/verifications/{name}")
    response.headers["Retry-After"] = str(RETRY_SECONDS)
    return await verifying.verification_operation(given, scope, name)


@router.get(
    "/verifications/{verification_id}",
    operation_id="verifications_get",
    summary="Read a verification",
)
async def get_verification(
    verification_id: str, caller: Annotated[Caller, Depends(requires("objects.read"))]
) -> VerificationOut:
    """What was checked and found, with the signed report when it is over."""
    found = await verifying.get(deps(), caller.scope, verification_id)
    return VerificationOut.of(found)


@router.post(
    "/customers/{customer_id}/erasures",
    operation_id="erasures_request",
    summary="Ask for an erasure",
    status_code=201,
)
async def request_erasure(
    customer_id: str, body: ErasureIn, response: Response, caller: EraseWriter
) -> ErasureOut:
    """Nothing happens before another person approves it (vault.md section 17)."""
    made = await erasures.request(
        deps(),
        caller.scope,
        customer_id,
        subject=body.user_id,
        reason=body.reason,
        by=caller.principal.subject,
    )
    response.headers["Location"] = address(f"/erasures/{made.erasure_id}")
    return ErasureOut.of(made)


@router.get(
    "/customers/{customer_id}/erasures",
    operation_id="erasures_list",
    summary="List the erasures of a customer",
)
async def list_erasures(customer_id: str, caller: EraseReader) -> PageOf[ErasureOut]:
    """Newest first."""
    found = await erasures.list_erasures(deps(), caller.scope, customer_id)
    return PageOf(value=[ErasureOut.of(one) for one in found])


@router.get("/erasures/{erasure_id}", operation_id="erasures_get", summary="Read an erasure")
async def get_erasure(erasure_id: str, caller: EraseReader) -> ErasureOut:
    """Its state, and the certificates when it is done."""
    return ErasureOut.of(await erasures.get(deps(), caller.scope, erasure_id))


@router.post(
    "/erasures/{erasure_id}:approve",
    operation_id="erasures_approve",
    summary="Approve an erasure",
)
async def approve_erasure(erasure_id: str, caller: EraseWriter) -> ErasureOut:
    """By another person than who asked: 403 SECOND_PERSON_NEEDED. 409 under a legal hold."""
    by = caller.principal.subject
    return ErasureOut.of(await erasures.approve(deps(), caller.scope, erasure_id, by=by))


@router.post(
    "/erasures/{erasure_id}:cancel", operation_id="erasures_cancel", summary="Cancel an erasure"
)
async def cancel_erasure(erasure_id: str, caller: EraseWriter) -> ErasureOut:
    """Until the first key is deleted."""
    return ErasureOut.of(await erasures.cancel(deps(), caller.scope, erasure_id))


@router.get(
    "/customers/{customer_id}/rounds",
    operation_id="rounds_list",
    summary="List what the nights did",
)
async def list_rounds(
    customer_id: str, caller: Annotated[Caller, Depends(requires("objects.read"))]
) -> PageOf[RoundOut]:
    """Locks, deletions, checks and findings per repository and night, newest first."""
    found = await rounds.list_rounds(deps(), caller.scope, customer_id)
    return PageOf(value=[RoundOut.of(one) for one in found])


def _held(response: Response, hold: Hold) -> HoldOut:
    response.headers["ETag"] = holds.etag_of(hold)
    return HoldOut.of(hold)
