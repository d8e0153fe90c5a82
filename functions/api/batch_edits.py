"""One change of licences for up to 20 customers; the results as CSV."""

from typing import Annotated

from fastapi import Depends, Request, Response
from pydantic import Field

from functions.api import csv_files, licensing
from functions.api.licence_models import PreviewOut
from functions.api.paging import address
from functions.api.protection_models import RETRY_SECONDS, PageOf
from functions.api.routing import Router
from functions.api.security import requires
from functions.binding import WITH_DURABLE, current_client
from functions.starting import start
from orchestrations.batch_edit import instance_of
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.customers import batch_edits
from shared.customers.service import require_known
from shared.kit.api_model import ApiModel
from shared.kit.operations import Operation
from shared.licensing.requests import Change, located
from shared.licensing.service import Preview

router = Router(tags=["licences"])
MOST_IDS = 1000


class BatchEditIn(ApiModel):
    """The customers and the change that each of them gets."""

    customer_ids: Annotated[list[str], Field(max_length=MOST_IDS)]
    change: Change


class BatchPreviewOut(ApiModel):
    """What would become of one customer."""

    customer_id: str
    preview: PreviewOut


@router.post(
    "/subscriptions:batchEdit",
    operation_id="subscriptions_batch_edit",
    summary="Change many customers",
    status_code=202,
    openapi_extra=WITH_DURABLE,
)
async def begin(
    body: BatchEditIn,
    request: Request,
    response: Response,
    caller: Annotated[Caller, Depends(requires("licences.write"))],
) -> Operation:
    """Up to 20 (CUS-35). The operation has a result per customer: some may fail (CUS-36)."""
    given = deps()
    await require_known(given, caller.scope, frozenset(body.customer_ids))
    command = licensing.command_of(request, caller)
    with licensing.placed():
        batch = await batch_edits.begin(
            given, caller.scope, command, body.customer_ids, body.change
        )
    task = {
        "partner_id": batch.partner_id,
        "batch_id": batch.batch_id,
        "customers": list(batch.customers),
    }
    await start(current_client(), "batch_edit", instance_of(batch.batch_id), task)
    response.headers["Operation-Location"] = address(f"/operations/{batch.batch_id}")
    response.headers["Retry-After"] = str(RETRY_SECONDS)
    return batch_edits.operation_of(batch)


@router.post(
    "/subscriptions:previewBatch",
    operation_id="subscriptions_batch_preview",
    summary="What a batch would do",
)
async def preview(
    body: BatchEditIn, caller: Annotated[Caller, Depends(requires("licences.write"))]
) -> PageOf[BatchPreviewOut]:
    """Customer by customer, each on what those before would leave; nothing is changed (CUS-35)."""
    given = deps()
    await require_known(given, caller.scope, frozenset(body.customer_ids))
    with licensing.placed():
        told = await batch_edits.preview(given, caller.scope, body.customer_ids, body.change)
    return PageOf(
        value=[
            BatchPreviewOut(customer_id=customer_id, preview=_located(each))
            for customer_id, each in told
        ]
    )


@router.get(
    "/subscriptions/batch-edits/{operation_id}/results",
    operation_id="subscriptions_batch_results",
    summary="The results as CSV",
    response_class=Response,
    responses=csv_files.RESPONSES,
)
async def results(
    operation_id: str, caller: Annotated[Caller, Depends(requires("licences.read"))]
) -> Response:
    """One line per customer, with a heading (CUS-36); while it runs, those that are done."""
    batch = await batch_edits.follow(deps(), caller.scope, operation_id)
    header, *rows = batch_edits.table_of(batch)
    return Response(csv_files.document(header, rows), media_type=csv_files.MEDIA_TYPE)


def _located(told: Preview) -> PreviewOut:
    if told.refusal is not None:
        told.refusal.errors = located(told.refusal.errors, "/change")
    return PreviewOut.of(told)
