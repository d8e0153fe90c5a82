"""What every route does the same way around its own work: rate limit, idempotency, audit.

`functions.api.security.requires` calls `identified` as soon as somebody has signed in and
`admitted` once their right is clear, so that no route can leave these out; `settle` runs when the
route has answered, whatever it answered.
"""

import logging
from http import HTTPStatus
from typing import Protocol

from fastapi import Request

from functions.api import auditing, exchange, sealed
from functions.api.exchange import Exchange
from functions.api.sealed import Answer
from shared.access.model import Caller, Principal
from shared.audit.model import Outcome
from shared.bootstrap import deps
from shared.kit import idempotency, seeds, watch
from shared.kit.errors import HoldfastError, TooMany, Unavailable
from shared.kit.idempotency import IdempotencyStore, Replay

log = logging.getLogger(__name__)

KEY = "idempotency-key"
READS_TOLD = frozenset({"items_preview"})
"""Reads that open what a person wrote: who looked stands in the trail."""
# Refusals of reads that tell of somebody where they should not be.
_PROBES = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})


class RateLimited(TooMany):
    """This client has used up its requests for now."""

    code, title = "RATE_LIMITED", "Too many requests"


class AuditUnavailable(Unavailable):
    """Nothing is done or answered that cannot be written down."""

    code, title = "AUDIT_UNAVAILABLE", "The audit trail does not answer"


class Replayed(Exception):
    """The request was answered before: this is the answer again."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("replayed")
        self.answer = answer


class SignedIn(Protocol):
    """Whatever names the principal: an identity or a caller."""

    @property
    def principal(self) -> Principal:
        """Who it is."""


async def identified(request: Request, identity: SignedIn) -> None:
    """Somebody has signed in: count the request. `RateLimited` (429) over the quota."""
    found = exchange.of(request.scope)
    who = found.principal = identity.principal
    client = f"{who.kind}:{who.client_id}:{who.subject}"
    found.verdict = await deps().limiter.check(who.partner_id, client)
    if not found.verdict.allowed:
        raise RateLimited("Wait.", retryAfter=found.verdict.reset_seconds)


async def turned_away(request: Request, refused: HoldfastError) -> HoldfastError:
    """What to answer to somebody refused, perhaps before anybody had signed in.

    When the credentials name a partner, its trail gets a line; all such refusals of a partner share
    one rate limit, so that nobody floods a trail from outside. Anybody else is logged.
    """
    found = exchange.of(request.scope)
    if found.principal is not None or refused.status not in _PROBES:
        return refused
    if refused.principal is not None:
        who: Principal = refused.principal
        verdict = await deps().limiter.check(who.partner_id, "turned away")
        if not verdict.allowed:
            return RateLimited("Wait.", retryAfter=verdict.reset_seconds)
        found.principal = who
    else:
        told = auditing.source(found)
        log.warning(
            "nobody known: code=%s trace=%s address=%s method=%s path=%r",
            refused.code, told.trace_id, told.address, found.method, found.path[:200],
        )  # fmt: skip
    return refused


async def admitted(request: Request, caller: Caller) -> None:
    """They may: claim the Idempotency-Key, and write down what is about to be done.

    Raises `Replayed` for an answer that is known, `StillRunning` (409), `KeyReused` (422),
    `KeyMalformed` (400), `AuditUnavailable` (503).
    """
    found = exchange.of(request.scope)
    found.caller = caller
    if not found.is_change:
        return
    header = found.headers.get(KEY)
    if header is not None and found.method == "POST":
        await _claim(found, header)
    await _announce(found)
    found.watch = watch.current()


async def settle(found: Exchange, answer: Answer) -> Answer:
    """The answer that may leave: written to the trail, and stored under its Idempotency-Key."""
    if found.replayed:
        return answer
    audited = await _audit(found, answer)
    if found.claim is not None:
        store = await deps().idempotency()
        if answer.status < HTTPStatus.BAD_REQUEST:
            # What was done is remembered even if the trail failed: a repeat must not do it again.
            await _remember(store, found, answer)
        else:
            await store.abandon(found.claim)
    if not audited:
        raise AuditUnavailable("Repeat the request with the same Idempotency-Key.", retryAfter=5)
    return answer


async def _claim(found: Exchange, header: str) -> None:
    key = idempotency.parse_key(header)
    who = found.principal
    assert who is not None
    query = found.scope["query_string"].decode("latin-1")
    wanted = idempotency.request_hash(found.method, found.path, query, found.body)
    context = getattr(found.caller, "context", None)
    caller = f"{who.kind}:{who.tenant_id}:{who.subject}:{context.context_id if context else ''}"
    store = await deps().idempotency()
    claimed = await store.begin(who.partner_id, caller, key, wanted)
    if isinstance(claimed, Replay):
        found.replayed = True
        raise Replayed(sealed.opened(claimed, header))
    found.claim = claimed
    seeds.sow(claimed.seed)


async def _remember(store: IdempotencyStore, found: Exchange, answer: Answer) -> None:
    assert found.claim is not None
    try:
        await store.finish(found.claim, *sealed.seal(answer, found.headers[KEY]))
    except Exception:  # it is done and written down: the caller shall know that it is
        log.exception("%s the answer is not kept for a repeat", found.trace_id)


async def _announce(found: Exchange) -> None:
    assert found.principal is not None
    told = auditing.entry(found)
    try:
        found.intent = await (await deps().trail()).announce(found.principal.partner_id, told)
    except Exception as fault:
        log.exception("%s the audit trail does not take an intent", found.trace_id)
        raise AuditUnavailable("Nothing was changed. Repeat the request.", retryAfter=5) from fault


async def _audit(found: Exchange, answer: Answer) -> bool:
    """Write the line that this answer needs; False when it needs one and there is none."""
    outcome = _outcome(found, answer.status)
    if found.principal is None or outcome is None:
        return True
    code = answer.headers.get("x-error-code")
    told = auditing.entry(found, outcome, code, answer.body)
    try:
        trail = await deps().trail()
        await trail.record(found.principal.partner_id, told, found.intent)
    except Exception:  # told to the caller as 503; the intent of a change stays and is found later
        log.exception("%s no audit line: %s", found.trace_id, told.model_dump_json())
        return False
    return True


def _outcome(found: Exchange, status: int) -> Outcome | None:
    """How it ended, for the trail; None for what has no line: most reads, repeated 429."""
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return None  # a flood would fill the trail; the limit itself keeps it harmless
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Outcome.FAILED if found.is_change else None
    if status >= HTTPStatus.BAD_REQUEST:
        return Outcome.REFUSED if found.is_change or status in _PROBES else None
    told = found.is_change or found.operation_id in READS_TOLD
    return Outcome.DONE if told else None


def problem_of(fault: Exception) -> HoldfastError:
    """The refusal to answer when settling itself fails."""
    if isinstance(fault, HoldfastError):
        return fault
    return HoldfastError("Name this traceId to support; nothing here is your fault.")
