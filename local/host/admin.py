"""The host's own addresses below /admin: status, functions, firing a timer by hand, the clock."""

import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from local.host.clock import HostClock
from local.host.counters import Counters, together
from local.host.front import Answer, Request, json_answer
from local.host.indexing import Function

VERSION = "4.0.0-local"  # the platform's generation, marked as this host

Fire = Callable[[Function], Awaitable[None]]
"""Starts a run of a timer function by hand and returns at once."""
Workers = Callable[[], Awaitable[list[dict[str, Any]]]]
"""The counters of worker processes beside this one."""


class Admin:
    """Answers below /admin; None means 404."""

    def __init__(
        self,
        functions: list[Function],
        clock: HostClock,
        counters: Counters,
        workers: Workers,
        host_id: str,
        fire: Fire,
    ) -> None:
        self._functions = {function.name.lower(): function for function in functions}
        self._clock, self._counters, self._host_id, self._fire = clock, counters, host_id, fire
        self._workers = workers

    async def __call__(self, request: Request) -> Answer | None:
        """Find the address by method and path."""
        path = [part for part in request.raw_path.split("/") if part][1:]
        match request.method, path:
            case "GET", ["host", "status"]:
                return json_answer(200, self._status())
            case "GET" | "POST", ["host", "ping"]:
                return Answer(200)
            case "GET", ["host", "counters"]:
                workers = await self._workers()
                return json_answer(200, together(self._counters.snapshot(), workers))
            case "GET", ["host", "clock"]:
                return json_answer(200, {"now": self._clock.now().isoformat()})
            case "POST", ["host", "clock"]:
                return self._move_clock(await request.body())
            case "GET", ["functions"]:
                site = _site(request)
                return json_answer(200, [_describe(f, site) for f in self._functions.values()])
            case "GET", ["functions", name] if name.lower() in self._functions:
                return json_answer(200, _describe(self._functions[name.lower()], _site(request)))
            case "POST", ["functions", name] if name.lower() in self._functions:
                return await self._run(self._functions[name.lower()], await request.body())
        return None

    def _status(self) -> dict[str, Any]:
        snapshot = self._counters.snapshot()
        return {
            "id": self._host_id,
            "state": "Running",
            "version": VERSION,
            "functions": len(self._functions),
            "processUptime": int(snapshot["uptimeSeconds"] * 1000),
            "errors": [],
        }

    def _move_clock(self, body: bytes) -> Answer:
        """`{"now": "<ISO 8601 with offset>"}` or `{"advanceSeconds": n}`: this host only."""
        try:
            document = json.loads(body)
            if "now" in document:
                moment = _aware(document["now"])
            else:
                moment = self._clock.now() + timedelta(seconds=float(document["advanceSeconds"]))
        except (ValueError, KeyError, TypeError, OverflowError) as fault:
            return json_answer(400, {"error": f"neither now nor advanceSeconds: {fault}"})
        self._clock.move(moment)
        return json_answer(200, {"now": self._clock.now().isoformat()})

    async def _run(self, function: Function, body: bytes) -> Answer:
        if function.kind != "timerTrigger":
            return json_answer(400, {"error": f"{function.name} is not a timer: {function.kind}"})
        try:
            document = json.loads(body) if body.strip() else {}
        except ValueError as fault:
            return json_answer(400, {"error": f"the body is not JSON: {fault}"})
        if not isinstance(document, dict):
            return json_answer(400, {"error": 'the body must be {"input": ...}'})
        await self._fire(function)
        return Answer(202)


def _aware(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("now needs an offset")
    return moment


def _site(request: Request) -> str:
    return f"{request.scope['scheme']}://{request.headers().get('host', '')}"


def _describe(function: Function, site: str) -> dict[str, Any]:
    return {
        "name": function.name,
        "href": f"{site}/admin/functions/{function.name}",
        "language": "python",
        "isDisabled": function.disabled,
        "config": {"bindings": list(function.bindings)},
    }
