"""The address Microsoft sends the administrator back to after an admin consent."""

import hashlib
import html
import logging
from http import HTTPStatus
from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import HTMLResponse

from functions.api import auditing, exchange
from functions.api.routing import Router
from functions.binding import WITH_DURABLE, current_client
from functions.starting import signal
from shared.audit.model import Target
from shared.audit.processes import tell
from shared.bootstrap import deps
from shared.consent import service
from shared.consent.model import ConsentLink
from shared.consent.rules import ConsentStateInvalid
from shared.kit.errors import HoldfastError
from shared.onboarding import inputs

router = Router(tags=["webhooks"])
log = logging.getLogger(__name__)

ACCEPTED = (
    "Thank you",
    "The permissions are now being checked. You may close this window; your partner is told.",
)
DECLINED = ("Nothing was granted", "You may close this window. Your partner has been informed.")
# No script, no outside resource: the page only has to say one sentence.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width">
<style>body{{font:1.1rem/1.5 system-ui;max-width:36rem;margin:20vh auto;padding:0 1rem}}</style>
</head><body><h1>{title}</h1><p>{text}</p></body></html>
"""


def page(title: str, text: str, status: int = HTTPStatus.OK) -> HTMLResponse:
    """A page for the administrator; everything in it is escaped."""
    body = PAGE.format(title=html.escape(title), text=html.escape(text))
    headers = {
        "Content-Security-Policy": POLICY,
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
    return HTMLResponse(body, status, headers=headers)


@router.get(
    "/consent/callback",
    operation_id="consent_callback",
    summary="Where an admin consent returns to",
    response_class=HTMLResponse,
    responses={
        HTTPStatus.BAD_REQUEST: {
            "description": "A page that says why: the state is unknown, used or too old",
            "content": {"text/html": {"schema": {"type": "string"}}},
        }
    },
    openapi_extra=WITH_DURABLE,
)
async def callback(
    request: Request,
    state: Annotated[str, Query(max_length=200)] = "",
    admin_consent: Annotated[str | None, Query(max_length=10)] = None,
    error: Annotated[str | None, Query(max_length=200)] = None,
    error_description: Annotated[str | None, Query(max_length=4000)] = None,
    tenant: Annotated[str | None, Query(max_length=100)] = None,  # noqa: ARG001  not believed (M40)
    scope: Annotated[str | None, Query(max_length=4000)] = None,  # noqa: ARG001
    error_uri: Annotated[str | None, Query(max_length=2000)] = None,  # noqa: ARG001
    session_state: Annotated[str | None, Query(max_length=200)] = None,  # noqa: ARG001
) -> HTMLResponse:
    """Keeps what is claimed and wakes the process, which proves it with a token of its own."""
    try:
        link = await service.take_callback(
            deps(),
            state=state,
            admin_consent=admin_consent,
            error=error,
            detail=error_description or error or "",
        )
    except ConsentStateInvalid as refused:
        return page(refused.title, refused.detail, refused.status)
    if link.run_id:
        await signal(
            current_client(),
            inputs.instance_id(link.run_id),
            inputs.CONSENT_ANSWERED,
            {"outcome": link.outcome, "detail": link.detail},
        )
    await _tell(request, link)
    return page(*(ACCEPTED if link.outcome == "accepted" else DECLINED))


async def _tell(request: Request, link: ConsentLink) -> None:
    """A line for the partner that made the link; who followed it is not known to us."""
    told = hashlib.sha256(link.state.encode()).hexdigest()[:16]  # the state itself is a secret
    try:
        await tell(
            await deps().trail(),
            link.partner_id,
            process="consent_callback",
            instance=f"consent:{link.run_id or link.customer_id}",
            step=told,
            action="consent.answer",
            target=Target(kind="consent", id=link.tenant_id),
            customer_id=link.customer_id,
            source=auditing.source(exchange.of(request.scope)),
            details={"claimed": link.outcome or "", "clientId": link.client_id},
        )
    except HoldfastError:  # the browser's answer is used up: nobody could repeat it
        log.exception("no audit line about the consent answered for %s", link.customer_id)
