"""One request and its answer, as the manners see it: who calls, what was claimed, what changed."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers
from starlette.types import Scope

if TYPE_CHECKING:
    from shared.access.model import Caller, Principal
    from shared.audit.model import Intent
    from shared.kit.idempotency import Claim
    from shared.kit.ratelimits import Verdict
    from shared.kit.watch import Watch

CHANGES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_STATE = "exchange"
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
# What may be echoed: nothing that could end a header or hide in a log.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


@dataclass(slots=True)
class Exchange:
    """What is known of one request while it is answered."""

    scope: Scope
    headers: Headers
    trace_id: str
    """The caller's W3C trace id, or a new one."""
    body: bytes = b""
    principal: "Principal | None" = None
    """Who has signed in; None while nobody has, or nobody we know."""
    caller: "Caller | None" = None
    """The same with its right for this route."""
    verdict: "Verdict | None" = None
    claim: "Claim | None" = None
    """Held while a request with an Idempotency-Key runs."""
    intent: "Intent | None" = None
    """Written before a change, so that not even a crash can hide it."""
    watch: "Watch | None" = None
    replayed: bool = False
    notes: dict[str, str] = field(default_factory=dict)
    """Small facts for the audit line."""

    @classmethod
    def begin(cls, scope: Scope) -> "Exchange":
        """The exchange of a request that has just come in."""
        headers = Headers(scope=scope)
        match = _TRACEPARENT.fullmatch(headers.get("traceparent", ""))
        made = cls(scope, headers, match[1] if match else uuid.uuid4().hex)
        scope.setdefault("state", {})[_STATE] = made
        return made

    @property
    def method(self) -> str:
        """Upper case."""
        return str(self.scope["method"])

    @property
    def path(self) -> str:
        """Without the query."""
        return str(self.scope["path"])

    @property
    def is_change(self) -> bool:
        """Whether the method may change something."""
        return self.method in CHANGES

    @property
    def operation_id(self) -> str:
        """Of the route that matched; empty when none did."""
        return str(getattr(self.scope.get("route"), "operation_id", None) or "")

    @property
    def path_params(self) -> Mapping[str, Any]:
        """Values in the path; empty before a route matched."""
        found: Mapping[str, Any] = self.scope.get("path_params") or {}
        return found

    @property
    def request_ids(self) -> dict[str, str]:
        """Headers that name this request: the caller's own ids come back as they were sent."""
        sent = {name: self.headers.get(name, "") for name in ("x-request-id", "client-request-id")}
        kept = {name: text for name, text in sent.items() if _REQUEST_ID.fullmatch(text)}
        return {"x-request-id": self.trace_id} | kept


def of(scope: Scope) -> Exchange:
    """The exchange of this request; begun here when nothing stands in front of the app."""
    found: Exchange | None = scope.setdefault("state", {}).get(_STATE)
    return found if found is not None else Exchange.begin(scope)
