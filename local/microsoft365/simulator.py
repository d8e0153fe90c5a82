"""The simulator itself: state, and the gate that every Graph call passes."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

from local.microsoft365.clock import Clock, iso
from local.microsoft365.faults import Faults, Rule, instant_answer
from local.microsoft365.ids import Sealer
from local.microsoft365.limits import Limits
from local.microsoft365.routes import Route, drive_form, graph, split
from local.microsoft365.stats import Stats
from local.microsoft365.tenant import GRAPH_APP, Application, Tenant
from local.microsoft365.throttle import Throttle, Ticket
from local.microsoft365.tokens import Signer
from local.microsoft365.wire import Answer, Call, Fault, answer_fault

JSON = dict[str, Any]
Endpoint = Callable[[Call], Awaitable[Answer]]
AUDIENCES = frozenset({"https://graph.microsoft.com", "https://graph.microsoft.com/", GRAPH_APP})


class Simulator:
    """Everything the endpoints share."""

    def __init__(
        self,
        tenants: list[Tenant],
        applications: dict[str, Application],
        *,
        partner_tenant: str = "",
        clock: Clock | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.limits = limits or Limits()
        self.tenants = {tenant.id: tenant for tenant in tenants}
        self.applications = applications
        self.partner_tenant = partner_tenant
        self.issuer = "https://localhost"  # the https origin, set by the server
        self.signer = Signer(self.clock)
        self.sealer = Sealer(secrets.token_bytes(32))
        self.stats = Stats()
        self.throttle = Throttle(self.clock, self.limits, self.stats)
        self.faults = Faults()
        self.uploads: dict[str, Any] = {}
        self.devices: dict[str, Any] = {}
        self.groups: dict[str, dict[str, tuple[str, list[str]]]] = {}  # by tenant
        self.delta_epoch = 0
        self.hosts: dict[str, Endpoint] = {}

    def find_tenant(self, name: str) -> Tenant | None:
        """Find a tenant by id or domain."""
        wanted = name.lower()
        found = self.tenants.get(wanted)
        if found is None:
            found = next((t for t in self.tenants.values() if t.domain.lower() == wanted), None)
        return found

    # -- the gate -----------------------------------------------------------------------------

    async def handle(self, call: Call) -> Answer:
        """Answer one Graph call, its path below /v1.0; never raises but for connection faults."""
        answer = await self._guarded(call)
        answer.headers.setdefault("request-id", call.request_id)
        client_id = call.headers.get("client-request-id")
        if client_id and call.headers.get("return-client-request-id", "").lower() == "true":
            answer.headers["client-request-id"] = client_id
        applied = _applied(call)
        if applied and answer.status < 300:
            answer.headers["Preference-Applied"] = applied
        self.stats.statuses[str(answer.status)] += 1
        if answer.status == 429:
            self.stats.throttled += 1
        return answer

    async def _guarded(self, call: Call) -> Answer:
        ticket: Ticket | None = None
        rule: Rule | None = None
        try:
            self._identify(call)
            route = self._route(call)
            self.stats.requests[route.kind] += 1
            rule = self.faults.take(call)
            if rule is not None:
                call.action = rule.action
                self.stats.faults += 1
            ready = instant_answer(rule) if rule is not None else None
            if ready is not None:
                return self._scripted(call, route, ready)
            self._authorise(call, route)
            ticket = self.throttle.admit(call, route)
            await self._pause(rule)
            answer = await route.handler(call)
            answer.headers.update(ticket.headers)
        except Fault as fault:
            answer = answer_fault(
                fault,
                call.request_id,
                call.headers.get("client-request-id", call.request_id),
                iso(self.clock.now())[:-1],
            )
        finally:
            if ticket is not None:
                self.throttle.leave(ticket)
        return _spoil(answer, rule)

    async def handle_preauthorised(self, call: Call, host: str) -> Answer:
        """Answer the content and upload hosts: no token, but faults and statistics as elsewhere."""
        kind = "content" if host == "_content" else "upload"
        self.stats.requests[kind] += 1
        call.path = f"/{host}{call.path}"
        rule = self.faults.take(call)
        try:
            if rule is not None:
                self.stats.faults += 1
                call.action = rule.action
                ready = instant_answer(rule)
                if ready is not None and isinstance(ready[0], Fault):
                    raise ready[0]
                if ready is not None and isinstance(ready[0], Answer):
                    return ready[0]
            await self._pause(rule)
            call.path = call.path.removeprefix(f"/{host}")
            answer = await self.hosts[kind](call)
        except Fault as fault:
            moment = iso(self.clock.now())[:-1]
            answer = answer_fault(fault, call.request_id, call.request_id, moment)
        answer.headers.setdefault("request-id", call.request_id)
        self.stats.statuses[str(answer.status)] += 1
        return _spoil(answer, rule)

    async def _pause(self, rule: Rule | None) -> None:
        latency = float(self.limits.get("throttle", "latency"))
        if rule is not None and rule.action == "delay":
            latency += float(rule.answer.get("seconds", 1))
        if latency > 0:
            await asyncio.sleep(latency)

    def _scripted(self, call: Call, route: Route, ready: tuple[Answer | Fault, float]) -> Answer:
        answer, wait = ready
        scope = self.throttle.scope(call, route)
        self.throttle.watch(scope)
        if wait:
            self.throttle.fence(scope, wait)
        if isinstance(answer, Fault):
            raise answer
        return answer

    def _identify(self, call: Call) -> None:
        scheme, _, token = call.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _unauthorised("Access token is empty.")
        claims = self.signer.check(token.strip())
        if claims is None:
            raise _unauthorised("IDX10511: Signature validation failed.")
        if claims["exp"] <= self.clock.seconds():
            raise _unauthorised("Lifetime validation failed, the token is expired.")
        tenant = self.tenants.get(claims.get("tid", ""))
        if claims.get("aud") not in AUDIENCES or tenant is None:
            raise _unauthorised("Access token validation failure. Invalid audience.")
        call.claims, call.current_tenant = claims, tenant

    def _route(self, call: Call) -> Route:
        tenant = call.tenant
        if call.path.lower().startswith("/me"):
            call.path = "/users/" + str(call.claims.get("oid", "")) + call.path[3:]
        segments = drive_form(split(call.path, call.query), lambda name: _drive_of(tenant, name))
        route, call.params, exists = graph.find(call.method, segments)
        if route is None:
            self.stats.requests["unknown"] += 1
            if exists:
                raise Fault(405, "Request_BadRequest", "Specified HTTP method is not allowed.")
            text = f"Resource not found for the segment '{unquote(call.path)}'."
            raise Fault(400, "BadRequest", text)
        if "user" in call.params:
            call.current_user = tenant.find_user(call.params["user"])
        elif "drive" in call.params:
            call.current_user = tenant.drives.get(call.params["drive"])
        return route

    def _authorise(self, call: Call, route: Route) -> None:
        claims = call.claims
        app_id = claims.get("azp", "")
        dead = self.limits.get("signin", "revokedTokensDieAtOnce")
        if claims.get("idtyp") == "app" and dead and app_id not in call.tenant.principals:
            text = "The identity of the calling application could not be established."
            raise Fault(401, "Authorization_IdentityNotFound", text)
        held = set(claims.get("roles", [])) | set(claims.get("scp", "").split())
        if route.roles and not held & route.roles:
            text = "Insufficient privileges to complete the operation."
            raise Fault(403, "Authorization_RequestDenied", text)


def _drive_of(tenant: Tenant, name: str) -> str | None:
    user = tenant.find_user(name)
    return user.drive.id if user is not None and user.drive is not None else None


def _unauthorised(text: str) -> Fault:
    challenge = 'Bearer realm="", authorization_uri="/common/oauth2/authorize"'
    return Fault(401, "InvalidAuthenticationToken", text, {"WWW-Authenticate": challenge})


def _applied(call: Call) -> str:
    applied = ['IdType="ImmutableId"'] if call.immutable else []
    size = call.prefer("odata.maxpagesize")
    if size:
        applied.append(f"odata.maxpagesize={size}")
    return ", ".join(applied)


def _spoil(answer: Answer, rule: Rule | None) -> Answer:
    if rule is not None and rule.action == "reset":
        answer.cut = 0
    elif rule is not None and rule.action == "truncate":
        size = answer.length if answer.length is not None else len(answer.body)
        answer.cut = int(rule.answer.get("bytes", size // 2))
    elif rule is not None and rule.action == "virusHeader":
        answer.headers["X-Virus-Infected"] = "true"
    return answer
