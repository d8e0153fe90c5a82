"""Exports: items of a restore point as open files in one ZIP, behind a link that expires."""

from typing import Annotated, Literal

from fastapi import Depends, Response
from pydantic import Field

from functions.api.paging import Pages, address
from functions.api.protection_models import (
    RETRY_SECONDS,
    ObjectId,
    PageOf,
    PageSize,
    SkipToken,
)
from functions.api.restore_models import Key
from functions.api.routing import Router
from functions.api.security import requires
from functions.binding import WITH_DURABLE, current_client
from functions.starting import start
from orchestrations.export import instance_of
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.export import service
from shared.export.model import Export, ExportState
from shared.kit.api_model import ApiModel, Instant
from shared.kit.operations import Operation
from shared.restore.service import MAX_ITEMS

router = Router(tags=["exports"])
Reader = Annotated[Caller, Depends(requires("exports.read", own="self.restore"))]
Starter = Annotated[Caller, Depends(requires("exports.start", own="self.restore"))]


class ExportInStart(ApiModel):
    """What to take out: items, a folder, or (with neither) the whole object."""

    object_id: ObjectId
    snapshot: Annotated[int, Field(ge=1)]
    items: Annotated[list[Key], Field(min_length=1, max_length=MAX_ITEMS)] | None = None
    folder: Key | None = None
    layout: Literal["files", "mbox"] = Field(
        default="files", description="One file per item, or of mail one mbox per folder"
    )


class ExportOut(ApiModel):
    """An export: the only status there is."""

    id: str
    customer_id: str
    object_id: str
    workload: str
    snapshot: int
    layout: Literal["files", "mbox"]
    requested_by: str
    state: ExportState
    progress_percent: int
    total: int
    done: int
    failed: int = Field(description="Items that could not be taken out; the manifest names them")
    bytes: int = Field(description="Of the items")
    size_bytes: int = Field(description="Of the ZIP; 0 before it is there")
    manifest_sha256: str | None
    created_at: Instant
    started_at: Instant | None
    ended_at: Instant | None
    expires_at: Instant | None = Field(description="When the file is deleted")
    error: str | None

    @classmethod
    def of(cls, export: Export) -> "ExportOut":
        """The export as partners see it."""
        own = {"id", "progress_percent", "size_bytes"}
        values = {name: getattr(export, name) for name in cls.model_fields if name not in own}
        return cls(
            id=export.export_id,
            progress_percent=service.percent(export),
            size_bytes=export.size,
            **values,
        )


class LinkOut(ApiModel):
    """An address that needs no sign-in: treat it as a secret."""

    url: str
    expires_at: Instant


async def _run(caller: Caller, export_id: str) -> None:
    """Start the export's process unless it is there: harmless when repeated."""
    task = {"partner_id": caller.scope.partner_id, "export_id": export_id}
    await start(current_client(), "export_items", instance_of(export_id), task)


@router.post(
    "/exports",
    operation_id="exports_start",
    summary="Start an export",
    status_code=202,
    openapi_extra=WITH_DURABLE,
)
async def start_export(body: ExportInStart, response: Response, caller: Starter) -> Operation:
    """eml or mbox, ics, vcf, files as they were, JSON for the rest, with a manifest of hashes."""
    given = deps()
    export = await service.start_export(
        given,
        caller.scope,
        object_id=body.object_id,
        snapshot=body.snapshot,
        items=list(dict.fromkeys(body.items)) if body.items is not None else None,
        folder=body.folder,
        layout=body.layout,
        requested_by=caller.principal.subject,
    )
    try:
        await _run(caller, export.export_id)
    except Exception:
        await service.fail_unstarted(given, caller.scope, export.export_id)  # else Queued for days
        raise
    response.headers["Operation-Location"] = address(f"/operations/{export.export_id}")
    response.headers["Location"] = address(f"/exports/{export.export_id}")
    response.headers["Retry-After"] = str(RETRY_SECONDS)
    return await service.export_operation(given, caller.scope, export.export_id)


@router.get("/exports/{export_id}", operation_id="exports_get", summary="Read an export")
async def get(export_id: str, caller: Reader) -> ExportOut:
    """State, progress, size."""
    return ExportOut.of(await service.get_export(deps(), caller.scope, export_id))


@router.post(
    "/exports/{export_id}/cancel",
    operation_id="exports_cancel",
    summary="Cancel an export",
    status_code=202,
    openapi_extra=WITH_DURABLE,
)
async def cancel(export_id: str, response: Response, caller: Starter) -> Operation:
    """Ends as Canceled, nothing of the file is left. 409 EXPORT_ENDED when it has ended."""
    given = deps()
    await service.cancel_export(given, caller.scope, export_id)
    await _run(caller, export_id)  # a lost process would never end it
    response.headers["Operation-Location"] = address(f"/operations/{export_id}")
    response.headers["Retry-After"] = str(RETRY_SECONDS)
    return await service.export_operation(given, caller.scope, export_id)


@router.post(
    "/exports/{export_id}/links",
    operation_id="exports_link",
    summary="Make a link to the file of an export",
    status_code=201,
)
async def link(export_id: str, caller: Starter) -> LinkOut:
    """Works for one hour without sign-in, straight from the storage; each has an audit line."""
    made = await service.make_link(deps(), caller.scope, export_id)
    return LinkOut(url=made.url, expires_at=made.expires_at)


@router.get(
    "/customers/{customer_id}/exports",
    operation_id="exports_list",
    summary="List the exports of a customer",
)
async def list_of_customer(
    customer_id: str, caller: Reader, maxpagesize: PageSize = 100, skip_token: SkipToken = None
) -> PageOf[ExportOut]:
    """Newest first; an end user sees the own ones."""
    pages = Pages(caller, "exports_list", f"/customers/{customer_id}/exports", {})
    after = (await pages.place(skip_token)).get("after", "")
    found, last = await service.list_exports(
        deps(), caller.scope, customer_id, after=after, limit=maxpagesize
    )
    link_to = await pages.link({"after": last} if last else None, maxpagesize)
    return PageOf(value=[ExportOut.of(one) for one in found], next_link=link_to)
