"""Refusals and answers of the simulated marketplace, as the services word them."""

import uuid
from datetime import datetime
from typing import Any

import orjson
from aiohttp import web

JSON = dict[str, Any]


class Refused(Exception):
    """An answer in the error form of the marketplace."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


def answer(value: object, status: int = 200, **headers: str) -> web.Response:
    """JSON; header names are written with _ for -."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return web.Response(
        status=status, body=orjson.dumps(value), content_type="application/json", headers=named
    )


def refusal(fault: Refused) -> web.Response:
    """The body of a refusal."""
    code = fault.code or {400: "BadArgument", 403: "Forbidden", 404: "EntityNotFound"}.get(
        fault.status, "Conflict" if fault.status == 409 else "InternalServerError"
    )
    return answer({"code": code, "message": fault.message}, fault.status)


async def body_of(request: web.Request) -> JSON:
    """The body as a JSON object; 400 for anything else."""
    try:
        value = orjson.loads(await request.read() or b"{}")
    except orjson.JSONDecodeError as problem:
        raise Refused(400, "The body is not JSON.") from problem
    if not isinstance(value, dict):
        raise Refused(400, "The body is not an object.")
    return value


def guid() -> str:
    """A new GUID."""
    return str(uuid.uuid4())


def iso7(moment: datetime) -> str:
    """A time with seven digits of fraction, as webhooks carry it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "7Z"
