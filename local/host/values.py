"""Values between the wire and the worker: HTTP requests and responses, timers, durable clients."""

import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

PRINCIPAL_PREFIX = "x-ms-client-principal"


def datum(value: Any, kind: str) -> Any:
    """A worker value of a kind (string, json, bytes, http). Imported late, with the worker."""
    from azure_functions_runtime.bindings.datumdef import Datum

    return Datum(value, kind)


def text(value: str) -> Any:
    """A string value for the worker."""
    return datum(value, "string")


def request_headers(raw: Iterable[tuple[bytes, bytes]], peer: str | None) -> dict[str, str]:
    """Headers as a function sees them: lower-case names, repeats joined with a comma.

    The platform's identity headers are removed from outside requests, and the peer's address is
    appended to X-Forwarded-For as the platform's front does.
    """
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name.startswith(PRINCIPAL_PREFIX):
            continue
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    if peer:
        known = headers.get("x-forwarded-for")
        headers["x-forwarded-for"] = f"{known}, {peer}" if known else peer
    return headers


def request_query(query: str) -> dict[str, str]:
    """Query values: repeats joined with a comma, keys that end up empty dropped."""
    values: dict[str, list[str]] = {}
    spelling: dict[str, str] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        name = spelling.setdefault(key.lower(), key)
        values.setdefault(name, []).append(value)
    joined = {name: ",".join(parts) for name, parts in values.items()}
    return {name: value for name, value in joined.items() if value}


def http_request(
    method: str,
    url: str,
    headers: Mapping[str, str],
    query: Mapping[str, str],
    params: Mapping[str, str],
    body: bytes,
) -> Any:
    """The httpTrigger's value."""
    return datum(
        {
            "method": text(method),
            "url": text(url),
            "headers": {name: text(value) for name, value in headers.items()},
            "query": {name: text(value) for name, value in query.items()},
            "params": {name: text(value) for name, value in params.items()},
            "body": datum(body, "bytes"),
        },
        "http",
    )


def http_response(value: Any) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body of what an HTTP function returned."""
    if value is None:
        return 200, [], b""
    if value.type != "http":
        content = value.value if isinstance(value.value, bytes) else str(value.value).encode()
        return 200, [(b"content-type", b"text/plain; charset=utf-8")], content
    answer = value.value
    headers = [
        (name.lower().encode("latin-1"), header.value.encode("latin-1", "replace"))
        for name, header in answer["headers"].items()
        if name.lower() not in ("content-length", "transfer-encoding")
    ]
    for cookie in answer.get("cookies") or ():
        headers += [(b"set-cookie", m.OutputString().encode("latin-1")) for m in cookie.values()]
    body = answer["body"].value
    return int(answer["status_code"].value), headers, body if body is not None else b""


def timer_value(status: Mapping[str, str] | None, *, is_past_due: bool) -> Any:
    """The timerTrigger's value; `status` is the stored Last, Next, LastUpdated."""
    document = {
        "Schedule": {"AdjustForDST": True},
        "ScheduleStatus": dict(status) if status else None,
        "IsPastDue": is_past_due,
    }
    return datum(json.dumps(document), "json")


def durable_client(hub_name: str, hub_address: str, site: str, key: str) -> Any:
    """The durableClient binding's value (functions-facts.md 8.1).

    rpcBaseUrl has no trailing slash: the client takes what follows the scheme as host and port.
    """
    base = f"{site}/runtime/webhooks/durabletask"
    document = {
        "taskHubName": hub_name,
        "connectionName": "Storage",
        "creationUrls": {},
        "managementUrls": {},
        "baseUrl": base,
        "httpBaseUrl": base,
        "requiredQueryStringParameters": f"code={key}",
        "useForwardedHost": False,
        "rpcBaseUrl": f"http://{hub_address}",
        "maxGrpcMessageSizeInBytes": 0,
        "grpcHttpClientTimeout": "00:01:40",
    }
    return text(json.dumps(document))
