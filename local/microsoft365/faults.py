"""Scripted faults: rules that answer, or spoil the answer, of calls they match."""

import re
from dataclasses import dataclass
from typing import Any

from local.microsoft365.wire import Answer, Call, Fault, answer_json

JSON = dict[str, Any]
ACTIONS = {
    # name: (status, code, Retry-After, empty body) of ready answers
    "throttle": (429, "TooManyRequests", 5, False),
    "throttleNoHint": (429, "TooManyRequests", None, False),
    "unavailable": (503, "serviceNotAvailable", None, False),
    "unavailableRetryAfter": (503, "serviceNotAvailable", 5, False),
    "unavailableEmpty": (503, "", None, True),
    "serverError": (500, "generalException", None, False),
    "badGateway": (502, "UnknownError", None, False),
    "gatewayTimeout": (504, "UnknownError", None, False),
    "requestTimeout": (408, "requestTimeout", None, False),
    "notFoundEmpty": (404, "", None, True),
    "invalidRequest": (400, "invalidRequest", None, False),
    "corrupt": (500, "ErrorCorruptData", None, False),
    "cannotOpenAttachment": (500, "ErrorCannotOpenFileAttachment", None, False),
    "invalidRecipients": (400, "ErrorInvalidRecipients", None, False),
    "expiredToken": (401, "InvalidAuthenticationToken", None, False),
    "accessDenied": (403, "ErrorAccessDenied", None, False),
    "quotaExceeded": (403, "ErrorQuotaExceeded", None, False),
    "noMailbox": (404, "MailboxNotEnabledForRESTAPI", None, False),
    "malware": (403, "malwareDetected", None, False),
    "locked": (423, "notAllowed", None, False),
    "deadUrl": (401, "unauthenticated", None, False),
}
# These need the endpoint, or the answer, or the connection.
LATE = frozenset({"gone", "expireDelta", "emptyPage", "reset", "truncate", "virusHeader", "delay"})


class BadRule(Exception):
    """A rule that cannot be understood."""


@dataclass(slots=True)
class Rule:
    """One scripted fault and how often it still applies."""

    method: str | None
    path: re.Pattern[str] | None
    tenant: str | None
    user: str | None
    every: int | None
    times: int
    action: str
    answer: JSON
    seen: int = 0


def read_rule(body: JSON) -> Rule:
    """Read one rule of POST /_sim/faults; raises BadRule."""
    match = body.get("match") or {}
    action = str(body.get("action") or "answer")
    if action != "answer" and action not in ACTIONS and action not in LATE:
        raise BadRule(f"unknown action {action}; known: {sorted(ACTIONS) + sorted(LATE)}")
    if action == "answer" and "status" not in (body.get("answer") or {}):
        raise BadRule('a rule needs "action" or "answer" with "status"')
    try:
        path = re.compile(match["path"]) if match.get("path") else None
    except re.error as problem:
        raise BadRule(f"bad path expression: {problem}") from problem
    return Rule(
        method=match.get("method"),
        path=path,
        tenant=match.get("tenant"),
        user=match.get("user"),
        every=match.get("nth"),
        times=int(body.get("times", 1)),
        action=action,
        answer=body.get("answer") or {},
    )


class Faults:
    """The rules in force; the first that matches applies."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []

    def take(self, call: Call, *, named: str = "") -> Rule | None:
        """Return the rule for this call and count it down.

        With `named`, only rules whose path expression contains that word count: a rule for
        "everything" means Graph, not sign-in.
        """
        for rule in self.rules:
            if rule.times == 0 or not _matches(rule, call):
                continue
            if named and (rule.path is None or named not in rule.path.pattern):
                continue
            rule.seen += 1
            # "nth": only every nth matching call fails.
            if rule.every and rule.seen % rule.every:
                continue
            if rule.times > 0:
                rule.times -= 1
            return rule
        return None


def _matches(rule: Rule, call: Call) -> bool:
    user = call.current_user
    return (
        (rule.method is None or rule.method.upper() == call.method)
        and (rule.path is None or rule.path.search(call.path) is not None)
        and (
            rule.tenant is None
            or (call.current_tenant is not None and call.current_tenant.id == rule.tenant)
        )
        and (
            rule.user is None
            or (user is not None and rule.user.lower() in (user.id.lower(), user.upn.lower()))
        )
    )


def instant_answer(rule: Rule) -> tuple[Answer | Fault, float] | None:
    """Return (answer, Retry-After seconds) of a rule that needs no endpoint, else None."""
    given = rule.answer
    if rule.action == "answer":
        status, code = int(given["status"]), str(given.get("code", ""))
        wait, empty = given.get("retryAfter"), bool(given.get("emptyBody"))
    elif rule.action in ACTIONS:
        status, code, wait, empty = ACTIONS[rule.action]
        wait = given.get("retryAfter", wait)
    else:
        return None
    headers = {"Retry-After": str(wait)} if wait is not None else {}
    headers.update({str(k): str(v) for k, v in (given.get("headers") or {}).items()})
    seconds = float(wait) if wait is not None and str(wait).replace(".", "").isdigit() else 0.0
    if empty:
        return Answer(status, b"", headers), seconds
    if "body" in given:
        answer = answer_json(given["body"], status)
        answer.headers.update(headers)
        return answer, seconds
    return Fault(status, code or "UnknownError", given.get("message", ""), headers), seconds
