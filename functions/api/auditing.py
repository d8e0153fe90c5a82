"""The audit line of a request: who, for whom, what, from where, how it ended."""

from collections.abc import Mapping
from typing import Any

import orjson

from functions.api.exchange import Exchange
from shared.access.ip_ranges import caller_address
from shared.audit.model import Actor, Entry, Outcome, Source, Target
from shared.kit import ids

_KINDS = {"key": "apiKey", "customerAdmin": "customerUser"}
_MOST_NAMES = 15


def entry(
    exchange: Exchange,
    outcome: Outcome = Outcome.DONE,
    code: str | None = None,
    answer: bytes = b"",
) -> Entry:
    """The line of a request whose caller is known; `answer` is what was or will be sent."""
    context = getattr(exchange.caller, "context", None)
    noun, _, verb = exchange.operation_id.partition("_")
    shown = _members(answer) if outcome is Outcome.DONE else {}
    watch = exchange.watch
    changed = watch is not None and outcome is not Outcome.REFUSED
    return Entry(
        actor=_actor(exchange),
        action=f"{noun}.{verb}" if verb else exchange.operation_id or "unknown",
        target=Target(kind=noun or "unknown", id=_target(exchange, shown)),
        outcome=outcome,
        customer_id=_customer(exchange, shown),
        on_behalf_of=context
        and Actor(kind="customerUser", subject=context.identity, name=context.customer_id),
        context_id=context and context.context_id,
        before=watch.before if watch and changed else None,
        after=watch.after if watch and changed else None,
        code=code,
        source=source(exchange),
        details=_details(exchange),
    )


def source(exchange: Exchange) -> Source:
    """From where: what our own front end saw, never what the caller claims."""
    hops = ",".join(exchange.headers.getlist("x-forwarded-for"))
    client = exchange.scope.get("client")
    address = caller_address(hops, client[0] if client else None)
    return Source(
        address=str(address or ""),
        agent=exchange.headers.get("user-agent", ""),
        trace_id=exchange.trace_id,
    )


def _actor(exchange: Exchange) -> Actor:
    who = exchange.principal
    if who is None:
        raise ValueError("nobody has signed in")
    kind: Any = _KINDS.get(who.kind, who.kind)
    return Actor(kind=kind, subject=who.subject, tenant_id=who.tenant_id, name=who.name)


def _target(exchange: Exchange, shown: Mapping[str, Any]) -> str:
    """What was made or started; else the last id in the address."""
    made = shown.get("id")
    if isinstance(made, str):
        return made
    values = list(exchange.path_params.values())
    return str(values[-1]) if values else ""


def _customer(exchange: Exchange, shown: Mapping[str, Any]) -> str | None:
    """For whom: named as such, or at the head of an id of something of the customer's."""
    sent, params = _members(exchange.body), exchange.path_params
    created = shown.get("id") if exchange.operation_id.startswith("customers_") else None
    for named in (
        params.get("customer_id"),
        sent.get("customerId"),
        shown.get("customerId"),
        created,
    ):
        if isinstance(named, str) and ids.is_customer_id(named):
            return named
    for below in (*params.values(), sent.get("objectId"), shown.get("id")):
        if isinstance(below, str) and ids.kind_of(below):
            return below[: ids.CUSTOMER_LENGTH]
    context = getattr(exchange.caller, "context", None)
    return context.customer_id if context else None


def _details(exchange: Exchange) -> dict[str, str]:
    names = sorted(_members(exchange.body))[:_MOST_NAMES]
    given = {"members": ", ".join(names)} if names else {}
    return {"method": exchange.method, "path": exchange.path, **given, **exchange.notes}


def _members(text: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(text) if text else {}
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
