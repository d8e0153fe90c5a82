"""Every route of the API is a function of its own, as the platform wants it."""

import inspect
import json
import re
from typing import Any

import azure.durable_functions as df
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from functions.api.app import api
from functions.api.routing import PREFIX
from functions.binding import DURABLE, bind, current_client, template

PUBLIC = {
    *("documents_openapi", "documents_page", "documents_asset"),
    "consent_callback",  # carries a single-use state instead of a token
    # Their senders prove themselves as their protocols want: signed tokens, the purchase's token.
    *("webhook_microsoft", "webhook_cloudblue", "webhook_orders", "marketplace_landing"),
    "order_schema",
}


def bound(app: FastAPI) -> dict[str, Any]:
    register = df.DFApp()
    register.register_functions(bind(app))
    built = {each.get_function_name(): each for each in register.get_functions()}
    return {name: each for name, each in built.items() if not name.startswith("BuiltIn__")}


@pytest.fixture(scope="module")
def functions() -> dict[str, Any]:
    return bound(api)


def routes() -> list[Any]:
    return [
        route for route in iter_route_contexts(api.routes)
        if isinstance(route.original_route, APIRoute)
    ]  # fmt: skip


def bindings(function: Any) -> dict[str, dict[str, Any]]:
    raw = [json.loads(each) for each in function.get_raw_bindings()]
    return {each["type"]: each for each in raw}


def test_one_function_per_operation(functions: dict[str, Any]) -> None:
    assert sorted(functions) == sorted(str(route.operation_id) for route in routes())


def test_the_trigger_has_the_routes_methods_and_address(functions: dict[str, Any]) -> None:
    for route in routes():
        trigger = bindings(functions[route.operation_id])["httpTrigger"]
        assert "/" + trigger["route"] == route.path
        assert trigger["route"].startswith(PREFIX.lstrip("/"))
        assert trigger["methods"] == sorted(route.methods)
        assert trigger["authLevel"] == "ANONYMOUS"


def test_only_routes_that_ask_get_a_durable_client(functions: dict[str, Any]) -> None:
    for route in routes():
        wanted = bool((route.openapi_extra or {}).get(DURABLE))
        function = functions[route.operation_id]
        assert ("durableClient" in bindings(function)) == wanted
        parameters = inspect.signature(function.get_user_function()).parameters
        assert ("client" in parameters) == wanted


def test_no_two_routes_answer_the_same_request(functions: dict[str, Any]) -> None:
    """The first match in the order of names wins (functions-facts.md 2.2): none may shadow."""
    triggers = [bindings(each)["httpTrigger"] for each in functions.values()]
    for one in triggers:
        pattern = re.sub(r"{\w+}", "[^/]+", one["route"])
        for other in triggers:
            if one is not other and set(one["methods"]) & set(other["methods"]):
                assert not re.fullmatch(pattern, other["route"]), (one, other)


def test_every_route_needs_a_permission_unless_it_is_public() -> None:
    def permissions(dependant: Any) -> list[Any]:
        own = getattr(dependant.call, "permission", None)
        return [own, *(inner for each in dependant.dependencies for inner in permissions(each))]

    for route in routes():
        found = [each for each in permissions(route.original_route.dependant) if each]
        assert bool(found) != (route.operation_id in PUBLIC), route.operation_id


def test_a_catch_all_becomes_the_platforms_template() -> None:
    assert template("/a/{rest:path}") == "a/{*rest}"


@pytest.mark.parametrize("name", [None, "with space", "1st", "ä"])
def test_a_name_the_platform_refuses_is_refused_at_start(name: str | None) -> None:
    app = FastAPI()
    app.add_api_route("/x", lambda: 1, operation_id=name)
    with pytest.raises(ValueError, match="operation_id"):
        bind(app)


def test_no_client_on_a_route_that_did_not_ask() -> None:
    with pytest.raises(LookupError):
        current_client()
