"""Throttling: counts every call against the quotas and answers 429 as the services do."""

import bisect
from dataclasses import dataclass, field

from local.microsoft365.clock import Clock
from local.microsoft365.limits import Limits
from local.microsoft365.routes import Route
from local.microsoft365.stats import Stats
from local.microsoft365.wire import Call, Fault


@dataclass(slots=True)
class Window:
    """A quota window that starts with its first call."""

    start: float = 0.0
    used: float = 0.0

    def spend(self, cost: float, length: float, now: float) -> float:
        """Add a cost and return the seconds until the window ends."""
        if now >= self.start + length or self.used == 0:
            self.start, self.used = now, 0.0
        self.used += cost
        return max(0.0, self.start + length - now)


@dataclass(slots=True)
class Ticket:
    """An admitted call: what to give back when it ends, and headers its answer carries."""

    mailbox: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


class Throttle:
    """The quotas of all services."""

    def __init__(self, clock: Clock, limits: Limits, stats: Stats) -> None:
        self._clock, self._limits, self._stats = clock, limits, stats
        self._windows: dict[tuple[str, ...], Window] = {}
        self._in_flight: dict[str, int] = {}
        self._fences: dict[str, tuple[float, float]] = {}

    def reset(self) -> None:
        """Forget what was spent; calls in flight stay counted."""
        self._windows.clear()
        self._fences.clear()

    def scope(self, call: Call, route: Route) -> str:
        """Return the scope that a 429 to this call closes."""
        app = call.claims.get("azp", "")
        tenant = call.current_tenant.id if call.current_tenant else ""
        if route.service == "outlook":
            user = call.current_user.id if call.current_user else call.params.get("user", "")
            return f"outlook {app} {tenant} {user}"
        return f"{route.service} {app} {tenant}"

    def fence(self, scope: str, seconds: float) -> None:
        """Remember that calls of this scope were told to stay away."""
        now = self._clock.seconds()
        begin, end = self._fences.get(scope, (now, 0.0))
        self._fences[scope] = (begin if end > now else now, max(end, now + seconds))

    def watch(self, scope: str) -> None:
        """Count a call that starts although its scope was told to stay away."""
        fence = self._fences.get(scope)
        if fence is None:
            return
        now = self._clock.seconds()
        if now >= fence[1]:
            del self._fences[scope]
        elif now > fence[0] + self._limits.get("throttle", "fenceGrace"):
            self._stats.inside_fence += 1

    def admit(self, call: Call, route: Route) -> Ticket:
        """Count a call and return its ticket; raises the 429 when a quota is spent."""
        scope = self.scope(call, route)
        self.watch(scope)
        self._graph(call)
        ticket = Ticket()
        if route.service == "outlook":
            self._outlook(scope, ticket)
        elif route.service == "sharepoint":
            self._sharepoint(scope, call, route, ticket)
        elif route.service == "identity":
            self._identity(scope, call, route, ticket)
        elif route.service == "teams":
            self._teams(scope, call)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """End a call."""
        if ticket.mailbox is not None:
            self._in_flight[ticket.mailbox] -= 1
            if not self._in_flight[ticket.mailbox]:
                del self._in_flight[ticket.mailbox]

    def _window(self, *key: str) -> Window:
        return self._windows.setdefault(key, Window())

    def _refuse(
        self, scope: str, code: str, message: str, wait: float, headers: dict[str, str]
    ) -> Fault:
        seconds = max(1, int(wait + 0.999))
        self.fence(scope, seconds)
        return Fault(429, code, message, {"Retry-After": str(seconds), **headers})

    def _graph(self, call: Call) -> None:
        limits = self._limits.section("graph")
        app = call.claims.get("azp", "")
        window = self._window("graph", app)
        left = window.spend(1, limits["window"], self._clock.seconds())
        if window.used > limits["requests"]:
            more = {"x-ms-throttle-scope": f"Application/Total/{app}"}
            raise self._refuse(f"app {app}", "TooManyRequests", "Too many requests.", left, more)

    def _teams(self, scope: str, call: Call) -> None:
        limits, now = self._limits.section("teams"), self._clock.seconds()
        posts = call.method != "GET"
        team = call.params.get("team", "")
        most = limits["postPerTenant" if posts else "perTenant"]
        tenant = ("teams write" if posts else "teams", most)
        for key, allowed in (tenant, (team, limits["perTeam"])):
            window = self._window(key, scope)
            wait = window.spend(1, limits["window"], now)
            if window.used > allowed:
                raise self._refuse(scope, "TooManyRequests", "Too many requests.", wait, {})

    def _outlook(self, scope: str, ticket: Ticket) -> None:
        limits = self._limits.section("outlook")
        window = self._window("mailbox", scope)
        left = window.spend(1, limits["window"], self._clock.seconds())
        if window.used > limits["requests"]:
            text = "Application is over its MailboxRequests limit."
            raise self._refuse(scope, "ApplicationThrottled", text, left, {})
        running = self._in_flight.get(scope, 0) + 1
        self._stats.most_in_flight = max(self._stats.most_in_flight, running)
        if running > limits["concurrency"]:
            text = "Application is over its MailboxConcurrency limit."
            wait = limits["concurrencyRetryAfter"]
            raise self._refuse(scope, "ApplicationThrottled", text, wait, {})
        self._in_flight[scope] = running
        ticket.mailbox = scope

    def _sharepoint(self, scope: str, call: Call, route: Route, ticket: Ticket) -> None:
        limits = self._limits.section("sharepoint")
        cost = self.units(call, route)
        self._stats.units += cost
        licences = sum(user.licensed for user in call.tenant.users.values())
        band = bisect.bisect_left(limits["bands"], licences)
        minute = limits["perMinute"] if limits["perMinute"] >= 0 else limits["minuteByBand"][band]
        day = limits["perDay"] if limits["perDay"] >= 0 else limits["dayByBand"][band]
        now = self._clock.seconds()
        short, long = self._window("minute", scope), self._window("day", scope)
        reset, day_reset = short.spend(cost, 60, now), long.spend(cost, 86400, now)
        announced = {
            "RateLimit-Limit": str(minute),
            "RateLimit-Remaining": str(max(0, int(minute - short.used))),
            "RateLimit-Reset": str(int(reset + 0.999)),
        }
        if short.used >= limits["announceFrom"] * minute:
            ticket.headers = announced
        if short.used > minute or long.used > day:
            wait = day_reset if long.used > day else reset
            text = "The request has been throttled."
            raise self._refuse(scope, "activityLimitReached", text, wait, announced)
        if route.cost == "permissions" and call.method != "GET":
            sharing = self._window("sharing", scope)
            wait = sharing.spend(1, limits["sharingWindow"], now)
            if sharing.used > limits["sharingCalls"]:
                text = "Too many sharing calls."
                raise self._refuse(scope, "activityLimitReached", text, wait, {})

    def units(self, call: Call, route: Route) -> int:
        """Return the resource units of a call to SharePoint or OneDrive."""
        costs = self._limits.get("sharepoint", "cost")
        kind = route.cost
        if kind == "delta":
            kind = "deltaWithToken" if call.query.get("token") else "list"
        if "permissions" in call.query.get("$expand", ""):
            kind = "permissions"
        return int(costs[kind])

    def _identity(self, scope: str, call: Call, route: Route, ticket: Ticket) -> None:
        limits = self._limits.section("identity")
        cost = int(route.cost)
        cost -= "$select" in call.query
        cost += "$expand" in call.query
        top = call.query.get("$top", "")
        cost -= top.isdigit() and int(top) < 20
        cost = max(1, cost)
        band = bisect.bisect_right(limits["bands"], len(call.tenant.users))
        most = limits["unitsByBand"][band]
        window = self._window("identity", scope)
        wait = window.spend(cost, limits["window"], self._clock.seconds())
        ticket.headers = {"x-ms-resource-unit": str(cost)}
        if window.used > limits["announceFrom"] * most:
            ticket.headers["x-ms-throttle-limit-percentage"] = f"{window.used / most:.2f}"
        if window.used > most:
            more = {"x-ms-throttle-scope": f"Tenant_Application/ReadWrite/{scope}"}
            raise self._refuse(scope, "TooManyRequests", "Too many requests.", wait, more)
