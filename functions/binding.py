"""Binds every FastAPI route to an HTTP-triggered function of its own, named by its operationId.

One function per operation gives each its own line in the portal, in metrics and in scaling, while
FastAPI keeps OpenAPI, validation and dependencies (ADR 0002, marketplace-auth.md 5.1).
"""

import re
from collections.abc import Awaitable, Callable
from contextvars import ContextVar

import azure.durable_functions as df
import azure.functions as func
from fastapi import FastAPI
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts

DURABLE = "x-durable"
WITH_DURABLE = {DURABLE: True}
"""Give a route `openapi_extra=WITH_DURABLE` when it starts or signals a process: only then is a
client opened for the invocation."""

# What the platform accepts as a function name.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,127}")
_client: ContextVar[df.DurableFunctionsClient] = ContextVar("durable_client")

Handler = Callable[..., Awaitable[func.HttpResponse]]
Asgi = Callable[[func.HttpRequest, func.Context], Awaitable[func.HttpResponse]]


def current_client() -> df.DurableFunctionsClient:
    """The durable client of this invocation; LookupError on a route without `WITH_DURABLE`."""
    return _client.get()


def bind(api: FastAPI) -> df.Blueprint:
    """A blueprint with one function per route of the app; ValueError for an unfit operationId."""
    blueprint = df.Blueprint()
    asgi = func.AsgiMiddleware(api).handle_async  # type: ignore[no-untyped-call]
    for route in iter_route_contexts(api.routes):
        if isinstance(route.original_route, APIRoute):
            _bind_route(blueprint, asgi, route)
    return blueprint


def template(path: str) -> str:
    """A FastAPI path as a route template of the platform: `{name:path}` becomes `{*name}`."""
    return re.sub(r"{(\w+):path}", r"{*\1}", path.lstrip("/"))


def _bind_route(blueprint: df.Blueprint, asgi: Asgi, route: RouteContext) -> None:
    name, path = route.operation_id or "", route.path or ""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{path} needs an operation_id that is a function name: {name!r}")
    durable = bool((route.openapi_extra or {}).get(DURABLE))
    handler = _with_client(asgi) if durable else _plain(asgi)
    handler.__name__ = handler.__qualname__ = name
    built = blueprint.durable_client_input(client_name="client")(handler) if durable else handler
    built = blueprint.route(
        route=template(path),
        methods=sorted(route.methods or ()),
        auth_level=func.AuthLevel.ANONYMOUS,  # every route checks the token itself
    )(built)
    blueprint.function_name(name)(built)


def _plain(asgi: Asgi) -> Handler:
    async def handler(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        return await asgi(req, context)

    return handler


def _with_client(asgi: Asgi) -> Handler:
    async def handler(
        req: func.HttpRequest, context: func.Context, client: df.DurableFunctionsClient
    ) -> func.HttpResponse:
        _client.set(client)
        return await asgi(req, context)

    return handler
