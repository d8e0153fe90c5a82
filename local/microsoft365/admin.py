"""The admin side /_sim: everything a test or a demo does to the world from outside."""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote

import orjson

from local.microsoft365 import admin_items, admin_sites, changes, device, graph_groups, people
from local.microsoft365.clock import iso
from local.microsoft365.consent_pages import grant
from local.microsoft365.faults import BadRule, read_rule
from local.microsoft365.signin import find_application
from local.microsoft365.tenant import Tenant, User
from local.microsoft365.truth import truth, world
from local.microsoft365.wire import Answer, Call, answer_json

JSON = dict[str, Any]
Handler = Callable[[Call], Awaitable[Answer]]


class Refused(Exception):
    """A request to the admin side that makes no sense."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


async def answer(call: Call) -> Answer:
    """Answer one request below /_sim."""
    try:
        return await _dispatch(call)
    except Refused as problem:
        return answer_json({"error": str(problem)}, problem.status)
    except (BadRule, KeyError, ValueError, TypeError) as problem:
        return answer_json({"error": str(problem)}, 400)


async def _dispatch(call: Call) -> Answer:
    parts = [unquote(part) for part in call.path.strip("/").split("/")]
    if parts[0] == "tenants" and len(parts) > 2:
        return await _tenant(call, parts[1], parts[2:])
    handler = PLAIN.get((call.method, parts[0]))
    if handler is None:
        raise Refused(f"nothing at {call.method} /_sim/{'/'.join(parts)}", 404)
    return await handler(call)


async def _body(call: Call) -> JSON:
    raw = await call.read()
    value = orjson.loads(raw) if raw else {}
    if not isinstance(value, dict):
        raise Refused("the body must be a JSON object")
    return value


async def _world(call: Call) -> Answer:
    return answer_json(world(call.sim))


async def _health(call: Call) -> Answer:
    return answer_json({"status": "ok", "now": iso(call.sim.clock.now())})


async def _stats(call: Call) -> Answer:
    return answer_json(call.sim.stats.as_json())


async def _reset_stats(call: Call) -> Answer:
    call.sim.stats.reset()
    return Answer(204)


async def _limits(call: Call) -> Answer:
    return answer_json(call.sim.limits.data)


async def _set_limits(call: Call) -> Answer:
    call.sim.limits.merge(await _body(call))
    call.sim.throttle.reset()
    return answer_json(call.sim.limits.data)


async def _reset_limits(call: Call) -> Answer:
    call.sim.limits.reset()
    call.sim.throttle.reset()
    return Answer(204)


async def _token(call: Call) -> Answer:
    return answer_json(people.api_token(call.sim, await _body(call)))


async def _faults(call: Call) -> Answer:
    rules = [
        {"action": rule.action, "times": rule.times, "seen": rule.seen}
        for rule in call.sim.faults.rules
    ]
    return answer_json({"rules": rules})


async def _add_faults(call: Call) -> Answer:
    rules = [read_rule(rule) for rule in (await _body(call)).get("rules", [])]
    call.sim.faults.rules += rules
    return answer_json({"added": len(rules)})


async def _clear_faults(call: Call) -> Answer:
    call.sim.faults.rules.clear()
    return Answer(204)


async def _clock(call: Call) -> Answer:
    call.sim.clock.advance(float((await _body(call)).get("advance", 0)))
    return answer_json({"now": iso(call.sim.clock.now())})


async def _device(call: Call) -> Answer:
    code = call.path.strip("/").split("/")[1:]
    body = await _body(call)
    if not code or (not body.get("decline") and not body.get("upn")):
        raise Refused('POST /_sim/device/{userCode} with {"upn"} or {"decline": true}')
    result = device.decide(call.sim, unquote(code[0]), None if body.get("decline") else body["upn"])
    if result.startswith("unknown"):
        raise Refused(result, 404)
    return answer_json({"result": result})


async def _expire(call: Call) -> Answer:
    call.sim.delta_epoch += 1
    return Answer(204)


async def _rotate(call: Call) -> Answer:
    return answer_json({"kid": call.sim.signer.rotate()})


PLAIN: dict[tuple[str, str], Handler] = {
    ("GET", "world"): _world,
    ("GET", "health"): _health,
    ("GET", "stats"): _stats,
    ("DELETE", "stats"): _reset_stats,
    ("POST", "token"): _token,
    ("GET", "limits"): _limits,
    ("POST", "limits"): _set_limits,
    ("DELETE", "limits"): _reset_limits,
    ("GET", "faults"): _faults,
    ("POST", "faults"): _add_faults,
    ("DELETE", "faults"): _clear_faults,
    ("GET", "clock"): _clock,
    ("POST", "clock"): _clock,
    ("POST", "device"): _device,
    ("POST", "expireDelta"): _expire,
    ("POST", "rotateKeys"): _rotate,
}


async def _tenant(call: Call, name: str, rest: list[str]) -> Answer:
    tenant = call.sim.find_tenant(name)
    if tenant is None:
        raise Refused(f"no tenant {name}", 404)
    if rest[0] == "consent":
        return await _consent(call, tenant)
    if rest[0] == "change" and call.method == "POST":
        return answer_json(changes.change(call.sim, tenant, await _body(call)))
    if rest[0] == "groups" and call.method in {"POST", "DELETE"}:
        groups = call.sim.groups.setdefault(tenant.id, {})
        name = "/".join(rest[1:])
        return answer_json(
            {"id": graph_groups.change(groups, tenant, call.method, name, await _body(call))}
        )
    if rest[0] in ("sites", "teams") and len(rest) > 1:
        return await admin_sites.answer(call, tenant, rest)
    if rest[0] == "users" and len(rest) > 2:
        return await _user(call, tenant, rest[1], rest[2:])
    raise Refused(f"nothing at {call.method} {'/'.join(rest)}", 404)


async def _consent(call: Call, tenant: Tenant) -> Answer:
    sim = call.sim
    if call.method == "DELETE":
        client_id = call.query.get("clientId", "").lower()
        if not tenant.revoke(client_id):
            raise Refused(f"{client_id} has no consent here", 404)
        return Answer(204)
    if call.method == "GET":
        held = {
            principal.app_id: [g.role for g in principal.grants]
            for principal in tenant.principals.values()
        }
        return answer_json({"consents": held})
    body = await _body(call)
    app = find_application(sim, tenant, str(body.get("clientId", "")))
    if app is None:
        raise Refused(f"no application {body.get('clientId')}", 404)
    roles = body.get("roles")
    return answer_json({"clientId": app.client_id, "roles": grant(sim, tenant, app, roles)})


async def _user(call: Call, tenant: Tenant, name: str, rest: list[str]) -> Answer:
    user: User | None = tenant.find_user(name)
    if user is None:
        raise Refused(f"no user {name}", 404)
    if rest == ["truth"] and call.method == "GET":
        only = call.query.get("only", "")
        return answer_json(await truth(user, mails=only != "files", files=only != "mails"))
    if rest == ["licence"] and call.method == "PUT":
        tenant.license(user, licensed=bool((await _body(call))["licensed"]))
        return Answer(204)
    handler = admin_items.HANDLERS.get((call.method, rest[0]))
    if handler is None:
        raise Refused(f"nothing at {call.method} {'/'.join(rest)}", 404)
    return await handler(call, user, rest[1:])
