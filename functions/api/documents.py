"""The API's own description: OpenAPI 3.1, and a page for people that loads nothing from outside.

The page is Swagger UI as the wheel of `fastapi-offline` carries it: the page integrators know,
kept up to date by a package, and not a copy of somebody's scripts in this repository.
"""

import functools
import hashlib
from importlib.util import find_spec
from pathlib import Path

import orjson
from fastapi import Request, Response
from fastapi.responses import HTMLResponse

from functions.api.routing import Router
from shared.kit.errors import NotFound
from shared.kit.etags import is_not_modified

router = Router(tags=["documents"], include_in_schema=False)

OWN = Path(__file__).with_name("static")
KINDS = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
VENDORED = frozenset({"swagger-ui-bundle.js", "swagger-ui.css"})
ASSETS = VENDORED | {"docs.js"}
# Swagger UI sets styles from script and draws icons from data addresses; nothing else is let in.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'self'; frame-ancestors 'none'"
)


@router.get("/openapi.json", operation_id="documents_openapi")
def openapi(request: Request) -> Response:
    """The document, as committed in docs/openapi.json."""
    body = _document(request.app)
    return _cached(request, body, "application/json")


@router.get("/docs", operation_id="documents_page")
def docs() -> HTMLResponse:
    """The page for people."""
    body = (OWN / "docs.html").read_text(encoding="utf-8")
    return HTMLResponse(body, headers={"Content-Security-Policy": POLICY})


@router.get("/docs/{asset}", operation_id="documents_asset")
def asset(asset: str, request: Request) -> Response:
    """A script or style sheet of the page."""
    if asset not in ASSETS:
        raise NotFound("There is no such part of the page.")
    return _cached(request, _asset(asset), KINDS[Path(asset).suffix])


@functools.cache
def _asset(name: str) -> bytes:
    return (_vendor() / name if name in VENDORED else OWN / name).read_bytes()


@functools.cache
def _vendor() -> Path:
    # Found, not imported: the package's own code is not needed and would cost start-up time.
    found = find_spec("fastapi_offline")
    if found is None or found.origin is None:
        raise NotFound("The page's scripts are not installed (package fastapi-offline).")
    return Path(found.origin).parent / "static"


@functools.cache
def _document(api: object) -> bytes:
    return orjson.dumps(api.openapi())  # type: ignore[attr-defined]


def _cached(request: Request, body: bytes, kind: str) -> Response:
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"}
    if is_not_modified(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=kind, headers=headers)
