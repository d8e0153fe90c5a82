"""Calls and answers: the small HTTP vocabulary that every endpoint, also inside $batch, uses."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from local.microsoft365.simulator import Simulator
    from local.microsoft365.tenant import Tenant, User

JSON = dict[str, Any]
JSON_TYPE = "application/json"


class Fault(Exception):
    """An answer in Graph's error form, raised from anywhere below an endpoint."""

    def __init__(
        self, status: int, code: str, message: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message or code
        self.headers = dict(headers or {})


@dataclass(slots=True)
class Answer:
    """What goes back: bytes, or a stream of bytes of known length."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    stream: AsyncIterator[bytes] | None = None
    length: int | None = None
    cut: int | None = None  # scripted fault: drop the connection after so many bytes


@dataclass(slots=True)
class Call:
    """One request, also one inside a batch."""

    sim: "Simulator"
    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    read: Callable[[], Awaitable[bytes]]
    origin: str
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    params: dict[str, str] = field(default_factory=dict)
    claims: JSON = field(default_factory=dict)
    in_batch: bool = False
    beta: bool = False
    action: str = ""
    current_tenant: "Tenant | None" = None
    current_user: "User | None" = None

    @property
    def tenant(self) -> "Tenant":
        """The tenant of the token; raises a 401 when there is none."""
        if self.current_tenant is None:
            raise Fault(401, "InvalidAuthenticationToken", "No tenant.")
        return self.current_tenant

    @property
    def user(self) -> "User":
        """The user named by the path; raises Graph's 404 when there is none."""
        if self.current_user is None:
            name = self.params.get("user", "")
            raise Fault(
                404,
                "Request_ResourceNotFound",
                f"Resource '{name}' does not exist or one of its queried reference-property "
                "objects are not present.",
            )
        return self.current_user

    @property
    def immutable(self) -> bool:
        """Whether the caller prefers immutable Outlook ids."""
        return 'idtype="immutableid"' in self.headers.get("Prefer", "").lower()

    def prefer(self, name: str) -> str | None:
        """Return the value of a Prefer member, "" for a bare one, None when absent."""
        for part in self.headers.get("Prefer", "").split(","):
            key, _, value = part.strip().partition("=")
            if key.lower() == name.lower():
                return value.strip('"')
        return None

    async def json(self) -> JSON:
        """Read the body as a JSON object; raises Graph's 400 otherwise."""
        raw = await self.read()
        try:
            value = orjson.loads(raw) if raw else {}
        except orjson.JSONDecodeError as problem:
            raise Fault(400, "BadRequest", "Unable to read JSON request payload.") from problem
        if not isinstance(value, dict):
            raise Fault(400, "BadRequest", "The request body must be a JSON object.")
        return value

    def page_size(self, default: int, most: int) -> int:
        """Return the page size asked for by odata.maxpagesize or $top."""
        text = self.prefer("odata.maxpagesize") or self.query.get("$top") or ""
        if not text:
            return default
        if not text.isdigit() or int(text) < 1:
            raise Fault(400, "invalidRequest", f"Invalid page size '{text}'.")
        return min(int(text), most)


def answer_json(value: object, status: int = 200, **headers: str) -> Answer:
    """Answer with JSON; header names are written with _ for -."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    named["Content-Type"] = "application/json; charset=utf-8"
    return Answer(status, orjson.dumps(value), named)


def answer_fault(fault: Fault, request_id: str, client_request_id: str, when: str) -> Answer:
    """Write a fault as Graph does."""
    inner = {"date": when, "request-id": request_id, "client-request-id": client_request_id}
    body = {"error": {"code": fault.code, "message": fault.message, "innerError": inner}}
    answer = answer_json(body, fault.status)
    answer.headers.update(fault.headers)
    return answer


async def no_body() -> bytes:
    """Stand for the body of a request that has none."""
    return b""
