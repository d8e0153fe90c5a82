"""The router every resource uses: prefix, version and query checks, problem documents.

What FastAPI would add when a router is included is here from the start: including builds every
route a second time, and that was half of a cold start.
"""

from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from fastapi.routing import APIRoute

from functions.api import problems, versions
from shared.kit.errors import Invalid

PREFIX = "/api/v1"


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


class Router(APIRouter):
    """Routes of one resource, below the API's prefix."""

    def __init__(
        self, *, tags: list[str], prefix: str = "", include_in_schema: bool = True
    ) -> None:
        super().__init__(
            prefix=PREFIX + prefix,
            tags=list(tags),
            dependencies=[Depends(known_query), Depends(versions.known_version)],
            responses={
                "4XX": {"description": "Refused", **_problem()},
                "5XX": {"description": "Failed on our side", **_problem()},
            },
            include_in_schema=include_in_schema,
        )
