"""Restores: bring items of a restore point back into Microsoft 365."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Response
from pydantic import Field, StringConstraints

from functions.api.paging import Pages, address
from functions.api.protection_models import (
    RETRY_SECONDS,
    GraphOut,
    ObjectId,
    PageOf,
    PageSize,
    SkipToken,
)
from functions.api.security import requires
from functions.binding import WITH_DURABLE, current_client
from functions.starting import start
from orchestrations.restore import instance_of
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.kit.api_model import ApiModel, Instant
from shared.kit.operations import Operation
from shared.restore import service
from shared.restore.model import Entry, EntryState, Restore, RestoreState

router = APIRouter(prefix="/restores", tags=["restores"])
Reader = Annotated[Caller, Depends(requires("restores.read", own="self.restore"))]
Starter = Annotated[Caller, Depends(requires("restores.start", own="self.restore"))]
Key = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]


async def _run(caller: Caller, restore_id: str) -> None:
    """Start the restore's process unless it is there: harmless when repeated."""
    task = {"partner_id": caller.scope.partner_id, "restore_id": restore_id}
    await start(current_client(), "restore_items", instance_of(restore_id), task)


class TargetIn(ApiModel):
    """Where the items go; the default is a new folder `Restored <date>`."""

    place: Literal["original", "folder"] = "folder"
    folder: Annotated[str, StringConstraints(min_length=1, max_length=1000)] | None = Field(
        default=None, description="Path with slashes; for place=folder"
    )
    object_id: ObjectId | None = Field(
        default=None, description="Another mailbox or drive of the same customer"
    )


class RestoreInStart(ApiModel):
    """What to bring back: items, a folder, or (with neither) the whole object."""

    object_id: ObjectId
    snapshot: Annotated[int, Field(ge=1)]
    items: Annotated[list[Key], Field(min_length=1, max_length=service.MAX_ITEMS)] | None = None
    folder: Key | None = None
    target: TargetIn = TargetIn()
    collision: Literal["skip", "copy", "replace"] = "skip"


class TargetOut(ApiModel):
    """Where the items go."""

    place: Literal["original", "folder"]
    folder: list[str]
    object_id: str


class RestoreOut(ApiModel):
    """A restore: the only status there is (RST-09)."""

    id: str
    customer_id: str
    object_id: str
    workload: str
    snapshot: int
    target: TargetOut
    collision: str
    state: RestoreState
    progress_percent: int
    total: int
    entries: dict[EntryState, int] = Field(description="Items by result")
    created_at: Instant
    started_at: Instant | None
    ended_at: Instant | None
    graph: GraphOut
    error: str | None

    @classmethod
    def of(cls, restore: Restore) -> "RestoreOut":
        """The restore as partners see it."""
        own = {"id", "target", "entries", "graph", "progress_percent"}
        values = {name: getattr(restore, name) for name in cls.model_fields if name not in own}
        target, use = restore.target, restore.graph
        return cls(
            id=restore.restore_id,
            target=TargetOut(place=target.place, folder=target.folder, object_id=target.object_id),
            entries={EntryState(state): number for state, number in restore.entries.items()},
            progress_percent=service.percent(restore),
            graph=GraphOut(
                requests=use.requests,
                ru=use.ru,
                throttled=use.throttled,
                waited_seconds=round(use.waited_s, 3),
            ),
            **values,
        )


class EntryOut(ApiModel):
    """What became of one item."""

    item_key: str
    kind: str
    name: str
    size_bytes: int
    folder: list[str]
    state: EntryState
    target_item_id: str | None
    notes: list[str]
    error: str | None

    @classmethod
    def of(cls, entry: Entry) -> "EntryOut":
        """The line as partners see it."""
        return cls(
            item_key=entry.item_key,
            kind=entry.kind,
            name=entry.name,
            size_bytes=entry.size,
            folder=entry.folder,
            state=entry.state,
            target_item_id=entry.target_id,
            notes=entry.notes,
            error=entry.error,
        )


@router.post(
    "",
    operation_id="restores_start",
    summary="Start a restore",
    status_code=202,
    openapi_extra=WITH_DURABLE,
)
async def start_restore(body: RestoreInStart, response: Response, caller: Starter) -> Operation:
    """Everything is checked first; nothing is written when something does not fit."""
    given = deps()
    wanted = service.Wanted(
        object_id=body.object_id,
        snapshot=body.snapshot,
        items=list(dict.fromkeys(body.items)) if body.items is not None else None,
        folder=body.folder,
        place=body.target.place,
        target_folder=body.target.folder,
        target_object_id=body.target.object_id,
        collision=body.collision,
    )
    restore = await service.start_restore(
        given, caller.scope, wanted, requested_by=caller.principal.subject
    )
    await _run(caller, restore.restore_id)
    response.headers["Operation-Location"] = address(f"/operations/{restore.restore_id}")
    response.headers["Location"] = address(f"/restores/{restore.restore_id}")
    response.headers["Retry-After"] = str(RETRY_SECONDS)
    return await service.restore_operation(given, caller.scope, restore.restore_id)


@router.get("/{restore_id}", operation_id="restores_get", summary="Read a restore")
async def get(restore_id: str, caller: Reader) -> RestoreOut:
    """State, progress, items by result."""
    return RestoreOut.of(await service.get_restore(deps(), caller.scope, restore_id))


@router.post(
    "/{restore_id}/cancel",
    operation_id="restores_cancel",
    summary="Cancel a restore",
    status_code=202,
    openapi_extra=WITH_DURABLE,
)
async def cancel(restore_id: str, response: Response, caller: Starter) -> Operation:
    """Ends as Canceled; what was restored stays. 409 RESTORE_ENDED when it has ended."""
    given = deps()
    await service.cancel_restore(given, caller.scope, restore_id)
    await _run(caller, restore_id)  # a lost process would never end it
    response.headers["Operation-Location"] = address(f"/operations/{restore_id}")
    response.headers["Retry-After"] = str(RETRY_SECONDS)
    return await service.restore_operation(given, caller.scope, restore_id)


@router.get(
    "/{restore_id}/items", operation_id="restores_items", summary="List the items of a restore"
)
async def list_items(
    restore_id: str, caller: Reader, maxpagesize: PageSize = 100, skip_token: SkipToken = None
) -> PageOf[EntryOut]:
    """The result of every item, with its id at the target."""
    pages = Pages(caller, "restores_items", f"/restores/{restore_id}/items", {})
    after = (await pages.place(skip_token)).get("after", "")
    found, last = await service.list_entries(
        deps(), caller.scope, restore_id, after=after, limit=maxpagesize
    )
    link = await pages.link({"after": last} if last else None, maxpagesize)
    return PageOf(value=[EntryOut.of(entry) for entry in found], next_link=link)
