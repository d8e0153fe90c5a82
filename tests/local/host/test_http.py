"""HTTP through the real host: what a function sees of a request and what comes back."""

import socket
from typing import Any

import pytest

from tests.local.host.running import RunningHost

APP = """
def seen(req):
    return func.HttpResponse(json.dumps({
        "method": req.method, "url": req.url, "headers": dict(req.headers),
        "query": dict(req.params), "params": dict(req.route_params),
        "body": req.get_body().decode("latin-1"),
    }), mimetype="application/json")

@app.route(route="echo/{*rest}")
def echo(req: func.HttpRequest) -> func.HttpResponse:
    return seen(req)

@app.route(route="items/{id:int}", methods=["GET"])
async def items_get(req: func.HttpRequest) -> func.HttpResponse:
    return seen(req)

@app.route(route="items/{id:int}", methods=["DELETE"])
async def items_delete(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(status_code=204)

@app.route(route="cookies", methods=["GET"])
def cookies(req: func.HttpRequest) -> func.HttpResponse:
    answer = func.HttpResponse(b"\\x00\\xff", status_code=201, headers={"X-One": "1"},
                               mimetype="application/octet-stream")
    answer.headers.add("Set-Cookie", "a=1; Path=/; HttpOnly")
    answer.headers.add("Set-Cookie", "b=2; SameSite=Lax")
    return answer

@app.route(route="text", methods=["GET"])
def text(req: func.HttpRequest) -> str:
    return "hello"

@app.route(route="none", methods=["GET"])
def none(req: func.HttpRequest) -> func.HttpResponse:
    return None

@app.route(route="boom", methods=["GET"])
async def boom(req: func.HttpRequest) -> func.HttpResponse:
    raise ValueError("first line\\nsecond line")

@app.route(route="who", methods=["GET"])
async def who(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return func.HttpResponse(f"{context.function_name} {context.invocation_id}")
"""


def test_request_as_the_function_sees_it(sample: RunningHost) -> None:
    answer = sample.request(
        "PATCH",
        "/echo/a%20b/c%2Fd?x=1&X=2&empty=&list=a&list=b",
        b'{"a": 1}',
        {"X-Test": "Yes", "X-MS-CLIENT-PRINCIPAL": "forged", "X-Forwarded-For": "203.0.113.9"},
    )
    seen: dict[str, Any] = answer.json()
    assert answer.status == 200
    assert seen["method"] == "PATCH"
    assert seen["url"] == f"{sample.url}/echo/a%20b/c%2Fd?x=1&X=2&empty=&list=a&list=b"
    assert seen["params"] == {"rest": "a b/c%2Fd"}
    assert seen["query"] == {"x": "1,2", "list": "a,b"}
    assert seen["body"] == '{"a": 1}'
    assert seen["headers"]["x-test"] == "Yes"
    assert not [name for name in seen["headers"] if name.startswith("x-ms-client-principal")]
    first, second = seen["headers"]["x-forwarded-for"].split(", ")
    assert first == "203.0.113.9"
    assert second.startswith("127.0.0.1:")


def send_raw(sample: RunningHost, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", sample.ready["port"]), timeout=20) as connection:
        connection.sendall(request)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
        return b"".join(parts)


def test_repeated_headers_are_joined(sample: RunningHost) -> None:
    answer = send_raw(
        sample,
        b"GET /echo HTTP/1.1\r\nHost: x\r\nA-B: 1\r\na-b: 2\r\nConnection: close\r\n\r\n",
    )
    assert b'"a-b": "1,2"' in answer
    assert b'"url": "http://x/echo"' in answer


def test_a_chunked_body_arrives_empty_with_a_warning(sample: RunningHost) -> None:
    answer = send_raw(
        sample,
        b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b"5\r\nhello\r\n0\r\n\r\n",
    )
    assert b'"body": ""' in answer
    assert "chunked request body arrives empty" in sample.log()


def test_more_than_100_mb_is_refused_unread(sample: RunningHost) -> None:
    answer = send_raw(
        sample,
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 104857601\r\nConnection: close\r\n\r\n",
    )
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_wrong_method_is_404_never_405(sample: RunningHost) -> None:
    assert sample.get("/items/5").status == 200
    assert sample.request("DELETE", "/items/5").status == 204
    assert sample.request("PUT", "/items/5").status == 404
    assert sample.request("HEAD", "/items/5").status == 404
    assert sample.request("OPTIONS", "/items/5").status == 404
    assert "PUT /items/5 is answered 404 as in Azure" in sample.log()


@pytest.mark.parametrize(
    ("path", "status"),
    [("/ITEMS/7/", 200), ("/items/x", 404), ("/nowhere", 404), ("/runtime/x", 404),
     ("/admin/x", 404), ("/BuiltIn__HttpActivity", 404)],
)  # fmt: skip
def test_where_requests_go(sample: RunningHost, path: str, status: int) -> None:
    assert sample.get(path).status == status


def test_response_status_headers_cookies_and_bytes(sample: RunningHost) -> None:
    answer = sample.get("/cookies")
    assert (answer.status, answer.body) == (201, b"\x00\xff")
    assert answer.header("x-one") == ["1"]
    assert answer.header("content-type") == ["application/octet-stream"]
    cookies = answer.header("set-cookie")
    assert len(cookies) == 2
    assert cookies[0].startswith("a=1")
    assert "HttpOnly" in cookies[0]


def test_a_returned_string_is_plain_text(sample: RunningHost) -> None:
    answer = sample.get("/text")
    assert (answer.status, answer.body) == (200, b"hello")
    assert answer.header("content-type") == ["text/plain; charset=utf-8"]


def test_a_handler_that_returns_nothing_is_500(sample: RunningHost) -> None:
    answer = sample.get("/none")
    assert (answer.status, answer.body) == (500, b"")
    assert "unable to encode outgoing TypedData" in sample.log()


def test_an_exception_is_500_with_an_empty_body_and_a_trace_in_the_log(sample: RunningHost) -> None:
    answer = sample.get("/boom")
    assert (answer.status, answer.body) == (500, b"")
    assert "Executed 'boom' (Failed" in sample.log()
    assert sample.log().count("ValueError: first line") == 1


def test_every_invocation_has_its_own_id(sample: RunningHost) -> None:
    one, two = sample.get("/who").body.decode(), sample.get("/who").body.decode()
    assert one.startswith("who ")
    assert one != two


def test_home_page(sample: RunningHost) -> None:
    assert sample.get("/").status == 200
    assert b"up and running" in sample.get("/").body


def test_start_up_prints_one_line_per_function(sample: RunningHost) -> None:
    assert f"items_get: [GET] {sample.url}/items/{{id:int}}" in sample.lines
    assert "BuiltIn__HttpPollOrchestrator: orchestrationTrigger" in sample.lines


def test_admin_status_functions_counters(sample: RunningHost) -> None:
    sample.get("/text")
    status = sample.get("/admin/host/status").json()
    assert status["state"] == "Running"
    assert status["functions"] == sample.ready["functions"]
    names = [function["name"] for function in sample.get("/admin/functions").json()]
    assert "items_get" in names
    counters = sample.get("/admin/host/counters").json()
    assert counters["functions"]["text"]["succeeded"] >= 1
    assert counters["peakRssBytes"] > 1_000_000


def test_admin_runs_only_timers_by_hand(sample: RunningHost) -> None:
    assert sample.post("/admin/functions/text", {"input": ""}).status == 400
    assert sample.post("/admin/functions/nothing", {"input": ""}).status == 404
