"""Graph: $batch, up to 20 calls in one; each counts against every quota (section 8)."""

import asyncio
import base64
from typing import Any
from urllib.parse import parse_qsl

import orjson
from multidict import CIMultiDict

from local.microsoft365.routes import graph
from local.microsoft365.wire import Answer, Call, Fault, answer_json

JSON = dict[str, Any]
MOST = 20
OUTLOOK_AT_ONCE = 4
_OUTLOOK = ("/messages", "/mailfolders", "/calendar", "/events", "/contacts", "/contactfolders")


@graph.add("POST", "/$batch", service="graph", kind="batch", roles="")
async def batch(call: Call) -> Answer:
    """Run the requests of a batch; answers come in the order they finish."""
    requests = (await call.json()).get("requests")
    if call.in_batch or not isinstance(requests, list) or not requests:
        raise Fault(400, "BadRequest", "Invalid batch payload format.")
    if len(requests) > MOST:
        text = f"Number of batch requests {len(requests)} exceeds the maximum of {MOST}."
        raise Fault(400, "BadRequest", text)
    ids = [str(one.get("id", "")) for one in requests if isinstance(one, dict)]
    if len(set(ids)) != len(requests) or "" in ids:
        raise Fault(400, "BadRequest", "Batch requests need unique ids.")
    statuses: dict[str, asyncio.Future[int]] = {
        name: asyncio.get_running_loop().create_future() for name in ids
    }
    slots = asyncio.Semaphore(OUTLOOK_AT_ONCE)
    answers: list[JSON] = []

    async def one(request: JSON) -> None:
        name = str(request["id"])
        answer = await _run(call, request, statuses, slots)
        statuses[name].set_result(int(answer["status"]))
        answers.append({"id": name, **answer})

    _check_dependencies(requests, ids)
    await asyncio.gather(*(one(request) for request in requests))
    return answer_json({"responses": answers})


def _check_dependencies(requests: list[JSON], ids: list[str]) -> None:
    """Refuse a request that waits for one that does not come before it."""
    seen: set[str] = set()
    for request, name in zip(requests, ids, strict=True):
        if not set(map(str, request.get("dependsOn") or [])) <= seen:
            raise Fault(400, "BadRequest", "dependsOn names no earlier request.")
        seen.add(name)


async def _run(
    call: Call,
    request: JSON,
    statuses: dict[str, asyncio.Future[int]],
    slots: asyncio.Semaphore,
) -> JSON:
    for name in request.get("dependsOn") or []:
        if await statuses[str(name)] >= 400:
            return {"status": 424, "body": {"error": {"code": "FailedDependency"}}}
    path, _, query = str(request.get("url", "")).partition("?")
    headers: CIMultiDict[str] = CIMultiDict(
        {str(k): str(v) for k, v in (request.get("headers") or {}).items()}
    )
    headers.setdefault("Authorization", call.headers.get("Authorization", ""))
    body = _body(request.get("body"), headers)

    async def read() -> bytes:
        return body

    inner = Call(
        call.sim,
        str(request.get("method", "GET")).upper(),
        "/" + path.removeprefix("/v1.0").lstrip("/"),
        dict(parse_qsl(query, keep_blank_values=True)),
        headers,
        read,
        call.origin,
        in_batch=True,
    )
    if any(word in path.lower() for word in _OUTLOOK):
        async with slots:
            answer = await call.sim.handle(inner)
    else:
        answer = await call.sim.handle(inner)
    return await _written(answer)


def _body(value: Any, headers: CIMultiDict[str]) -> bytes:
    if value is None:
        return b""
    if isinstance(value, str) and "json" not in headers.get("Content-Type", "").lower():
        return base64.b64decode(value)
    return orjson.dumps(value)


async def _written(answer: Answer) -> JSON:
    shown: JSON = {"status": answer.status, "headers": answer.headers}
    body = answer.body
    if answer.stream is not None:
        body = b"".join([piece async for piece in answer.stream])
    if answer.headers.get("Content-Type", "").startswith("application/json"):
        shown["body"] = orjson.loads(body)
    elif body:
        shown["body"] = base64.b64encode(body).decode()
    return shown
