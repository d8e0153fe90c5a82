"""The FastAPI application: problem documents, the edge, every router."""

from typing import Any

from fastapi import FastAPI

from functions.api import ROUTERS, described, problems
from functions.api.confirming import Confirming
from functions.api.edge import Edge
from functions.webhooks import ROUTERS as WEBHOOKS

SUMMARY = "Microsoft 365 backup as a service, for partners and their customers."
DESCRIPTION = """\
Long work answers `202` with `Operation-Location`; poll it until its status is final.
Every refusal is `application/problem+json` with a stable `code`; unknown members of a body and
unknown query parameters are refused. Sign in with an access token of Microsoft Entra.
"""


def build() -> FastAPI:
    """A fresh application with every route."""
    api = _PartnerApi(
        title="Holdfast partner API",
        version="1.0.0",
        summary=SUMMARY,
        description=DESCRIPTION,
        openapi_url=None,  # served by a route of our own, so that it becomes a function as well
        docs_url=None,
        redoc_url=None,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    problems.install(api)
    api.add_middleware(Confirming)
    api.add_middleware(Edge)
    for router in (*ROUTERS, *WEBHOOKS):
        # Not included: that would build every route anew (functions/api/routing.py).
        api.router.routes.extend(router.routes)
    return api


class _PartnerApi(FastAPI):
    """FastAPI whose document says what really leaves."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI 3.1 document; made once."""
        if self.openapi_schema is None:
            document = described.complete(super().openapi())
            self.openapi_schema = document
        return self.openapi_schema


api = build()
