"""Routes: templates, constraints and the platform's order (functions-facts.md 2.2)."""

import pytest

from local.host.constraint import BadRoute
from local.host.indexing import Function
from local.host.routing import Router
from local.host.template import parse_template, split_path

GUID = "4b0a4a40-59b6-4f8e-9a57-d0bd4f9be1f3"


def http(name: str, route: str | None, *methods: str, disabled: bool = False) -> Function:
    trigger = {"type": "httpTrigger", "name": "req", "methods": list(methods)}
    if route is not None:
        trigger["route"] = route
    return Function(name, name, trigger, (trigger,), {}, disabled)


@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        ("customers", "/customers", {}),
        ("customers", "/CUSTOMERS/", {}),
        ("customers", "/customers/1", None),
        ("customers/{id}", "/customers/Ab%20c", {"id": "Ab c"}),
        ("customers/{id}", "/customers/a%2Fb", {"id": "a%2Fb"}),
        ("customers/{id}", "/customers", None),
        ("customers/{id}", "/customers//", None),
        ("customers/{id?}", "/customers", {}),
        ("customers/{id=all}", "/customers", {"id": "all"}),
        ("files/{*rest}", "/files/a/b/c", {"rest": "a/b/c"}),
        ("files/{*rest}", "/files", {}),
        ("files/{**rest}", "/files/x", {"rest": "x"}),
        ("n/{n:int:min(1)}", "/n/5", {"n": "5"}),
        ("n/{n:int:min(1)}", "/n/0", None),
        ("n/{n:int}", "/n/2147483648", None),
        ("n/{n:long}", "/n/2147483648", {"n": "2147483648"}),
        ("n/{n:int?}", "/n", {}),
        ("n/{n:int=3}", "/n", {"n": "3"}),
        ("n/{n:bool}", "/n/TRUE", {"n": "TRUE"}),
        ("n/{n:guid}", f"/n/{GUID}", {"n": GUID}),
        ("n/{n:guid}", "/n/4b0a", None),
        ("n/{n:alpha}", "/n/abc1", None),
        ("n/{n:decimal}", "/n/1.5", {"n": "1.5"}),
        ("n/{n:double}", "/n/1e3", {"n": "1e3"}),
        ("n/{n:float}", "/n/nine", None),
        ("n/{n:datetime}", "/n/2026-11-22T10:00:00", {"n": "2026-11-22T10:00:00"}),
        ("n/{n:datetime}", "/n/2026-13-22", None),
        ("n/{n:length(3)}", "/n/abcd", None),
        ("n/{n:length(2,4)}", "/n/abcd", {"n": "abcd"}),
        ("n/{n:minlength(3)}", "/n/ab", None),
        ("n/{n:maxlength(3)}", "/n/abcd", None),
        ("n/{n:max(9)}", "/n/10", None),
        ("n/{n:range(1,9)}", "/n/9", {"n": "9"}),
        ("n/{n:regex(^\\d{{3}}$)}", "/n/123", {"n": "123"}),
        ("n/{n:regex(^\\d{{3}}$)}", "/n/1234", None),
        ("n/{n:required}", "/n/x", {"n": "x"}),
        ("{a}-{b}/x", "/1-2-3/x", {"a": "1-2", "b": "3"}),
        ("{name}.{ext?}", "/a.b.c", {"name": "a.b", "ext": "c"}),
        ("{name}.{ext?}", "/plain", {"name": "plain"}),
        ("api/v1/openapi.json", "/api/v1/openapi.json", {}),
    ],
)  # fmt: skip
def test_template(template: str, path: str, values: dict[str, str] | None) -> None:
    assert parse_template(template).match(split_path(path)) == values


@pytest.mark.parametrize(
    "template",
    ["a/{id", "a/}", "a//b", "a/{id}/{ID}", "a/{*rest}/b", "a/{x}{y}", "a/{x:nope}",
     "a/{x:length(a)}", "a/{x:regex(()}", "a/{}", "a/{x:int(5)}"],
)  # fmt: skip
def test_bad_template(template: str) -> None:
    with pytest.raises(BadRoute):
        parse_template(template)


def test_first_in_the_alphabet_wins_not_the_most_specific() -> None:
    router = Router([http("b_list", "c/list", "GET"), http("A_get", "c/{id}", "GET")], "")
    match = router.match("GET", "/c/list")
    assert match is not None
    assert match.route.function.name == "A_get"
    assert len(router.warnings()) == 1
    assert "A_get" in router.warnings()[0]


def test_no_warning_when_the_specific_route_comes_first() -> None:
    functions = [
        http("a_list", "c/list", "GET"),
        http("b_get", "c/{id}", "GET"),
        http("c_post", "c/{id}", "POST"),
        http("d_files", "c/{id}/files/{*rest}"),
    ]
    assert Router(functions, "").warnings() == []


def test_a_constraint_that_fails_leaves_the_request_to_the_next() -> None:
    router = Router([http("a", "c/{n:int}"), http("b", "c/{text}")], "")
    match = router.match("GET", "/c/x")
    assert match is not None
    assert match.route.function.name == "b"
    assert router.warnings() == []


def test_prefix_default_route_methods_and_disabled() -> None:
    router = Router([http("ping", None, "GET"), http("off", "off", disabled=True)], "api")
    assert router.match("GET", "/API/Ping") is not None
    assert router.match("POST", "/api/ping") is None
    assert router.match("HEAD", "/api/ping") is None
    assert router.match("GET", "/api/off") is None
    assert router.methods_at("/api/ping") == {"GET"}


@pytest.mark.parametrize("route", ["admin/x", "Runtime/webhooks/x"])
def test_reserved_routes_are_refused(route: str) -> None:
    with pytest.raises(BadRoute, match="conflicts"):
        Router([http("f", route)], "")
