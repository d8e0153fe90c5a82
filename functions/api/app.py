"""The FastAPI application: prefix, problem documents, strict queries, every router."""

from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from fastapi.routing import APIRoute

from functions.api import ROUTERS, described, problems, versions
from functions.api.confirming import Confirming
from functions.api.edge import Edge
from functions.webhooks import ROUTERS as WEBHOOKS
from shared.kit.errors import Invalid

PREFIX = "/api/v1"

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
        dependencies=[Depends(known_query), Depends(versions.known_version)],
        responses={
            "4XX": {"description": "Refused", **_problem()},
            "5XX": {"description": "Failed on our side", **_problem()},
        },
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    problems.install(api)
    api.add_middleware(Confirming)
    api.add_middleware(Edge)
    for router in (*ROUTERS, *WEBHOOKS):
        api.include_router(router, prefix=PREFIX)
    return api


class _PartnerApi(FastAPI):
    """FastAPI whose document says what really leaves."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI 3.1 document; made once."""
        if self.openapi_schema is None:
            document = described.complete(super().openapi())
            self.openapi_schema = document
        return self.openapi_schema


async def known_query(request: Request) -> None:
    """Refuse a query parameter that the route does not declare: a typo is never ignored."""
    route = request.scope["route"]
    unknown = sorted(set(request.query_params) - _declared(route))
    if unknown:
        refused = Invalid(f"Unknown query parameter: {', '.join(unknown)}.")
        refused.errors = [
            {"pointer": f"#/query/{name}", "detail": "This parameter is unknown here."}
            for name in unknown
        ]
        raise refused


_names: dict[str, frozenset[str]] = {}


def _declared(route: APIRoute) -> frozenset[str]:
    known = _names.get(route.operation_id or "")
    if known is None:
        known = _names[route.operation_id or ""] = frozenset(
            field.alias
            for field in get_flat_params(route.dependant)
            if isinstance(field.field_info, Query)
        ) | {versions.NAME}
    return known


def _problem() -> dict[str, Any]:
    return {
        "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        "model": problems.Problem,
    }


api = build()
