"""Every refusal leaves as a problem document (RFC 9457) with a stable code."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ConfigDict, Field
from starlette.exceptions import HTTPException

from functions.api import exchange, manners
from shared.kit.api_model import ApiModel
from shared.kit.errors import HoldfastError, Invalid

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
# pydantic's kinds of error that callers are told in our words.
_WORDS = {
    "extra_forbidden": "This member is unknown here.",
    "missing": "This member is required.",
}


class FieldError(ApiModel):
    """One wrong place in the request."""

    pointer: str = Field(description="JSON pointer into the body, or #/query/name")
    detail: str


class Problem(ApiModel):
    """A problem document: branch on `code`, show `detail`. Some codes have further members."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    trace_id: str
    errors: list[FieldError] = []


def trace_id(request: Request) -> str:
    """The caller's W3C trace id, or a new one: the same for the whole request."""
    return exchange.of(request.scope).trace_id


def answer(
    request: Request,
    refused: HoldfastError,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """The problem document of a refusal."""
    trace = trace_id(request)
    body: dict[str, Any] = {
        **refused.extra,
        "type": f"urn:holdfast:problem:{refused.code.lower().replace('_', '-')}",
        "title": refused.title,
        "status": refused.status,
        "detail": refused.detail,
        "instance": request.url.path,
        "code": refused.code,
        "traceId": trace,
    }
    if refused.errors:
        body["errors"] = [
            {**each, "pointer": f"#{each['pointer']}"} if each["pointer"].startswith("/") else each
            for each in refused.errors
        ]
    sent = {"X-Error-Code": refused.code, **(headers or {})}
    retry = refused.extra.get("retryAfter")
    if retry is not None:
        sent["Retry-After"] = str(retry)
    if refused.status == HTTPStatus.UNAUTHORIZED:
        sent["WWW-Authenticate"] = "Bearer"
    return JSONResponse(body, refused.status, headers=sent, media_type=MEDIA_TYPE)


def pointer(location: Sequence[str | int]) -> str:
    """The JSON pointer of a validation error's place (RFC 6901)."""
    where, *rest = location or ("body",)
    parts = [str(part).replace("~", "~0").replace("/", "~1") for part in rest]
    root = "" if where == "body" else f"/{where}"
    return "#" + root + "".join(f"/{part}" for part in parts)


def within(location: Sequence[str | int], body: Any) -> list[str | int]:
    """The place without the marks a validator adds for the branch of a union it tried."""
    kept: list[str | int] = []
    for part in location:
        is_member = isinstance(body, dict) and part in body
        is_element = isinstance(body, list) and isinstance(part, int) and part < len(body)
        if is_member or is_element:
            body = body[part]
            kept.append(part)
    return kept


def invalid(errors: Sequence[Mapping[str, Any]], body: Any = None) -> Invalid:
    """One refusal that names every wrong field of `body`, or of the query."""
    fields = []
    for error in errors:
        if error["type"] == "json_invalid":
            fields.append({"pointer": "#", "detail": "The body is not valid JSON."})
            continue
        text = _WORDS.get(error["type"], error["msg"].removeprefix("Value error, "))
        where, *rest = error["loc"]
        if where == "body":
            own = rest[-1:] if error["type"] == "missing" else []  # it is not there to be found
            rest = [*within(rest[: len(rest) - len(own)], body), *own]
        if error["type"] in {"union_tag_invalid", "union_tag_not_found"}:
            rest.append(error["ctx"]["discriminator"].strip("'"))
        fields.append({"pointer": pointer([where, *rest]), "detail": text})
    named = ", ".join(sorted({field["pointer"] for field in fields}))
    refused = Invalid(f"Correct these fields: {named}.")
    refused.errors = fields
    return refused


def install(api: FastAPI) -> None:
    """Answer every exception of the app with a problem document."""

    async def refused(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HoldfastError)
        if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.error("%s %s: %s", trace_id(request), error.code, error.detail, exc_info=error)
        return answer(request, await manners.turned_away(request, error))

    async def wrong_fields(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        return answer(request, invalid(error.errors(), error.body))

    async def http(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        return answer(request, _of_status(error), error.headers)

    api.add_exception_handler(HoldfastError, refused)
    api.add_exception_handler(RequestValidationError, wrong_fields)
    api.add_exception_handler(HTTPException, http)


def _of_status(error: HTTPException) -> HoldfastError:
    status = HTTPStatus(error.status_code)

    class Plain(HoldfastError):
        code = status.name
        title = status.phrase

    Plain.status = error.status_code
    return Plain(str(error.detail) if error.detail else status.phrase)
