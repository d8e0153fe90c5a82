"""What an answer means: the ladder of section 7.3 and the skips of section 5, as one pure function.

The error code decides before the status: a 500 with `ErrorCorruptData` is a skip, never a
transient fault. Codes are compared without case (M12).
"""

from typing import Literal

import msgspec

Kind = Literal[
    "throttled", "transient", "quirk", "expired_token", "dead_url", "resync",
    "container_gone", "skip", "object", "consent", "failed",
]  # fmt: skip
About = Literal["object", "container", "item", "write"]


class Answer(msgspec.Struct, frozen=True):
    """The parts of a refusal that decide, without any secret."""

    status: int
    code: str = ""
    message: str = ""
    retry_after: float | None = None
    empty: bool = False
    infected: bool = False
    """The answer carried `X-Virus-Infected: true`."""
    whole_app: bool = False
    """`x-ms-throttle-scope` says Application."""
    location: str = ""
    request_id: str = ""


class Asked(msgspec.Struct, frozen=True):
    """The parts of the question that decide."""

    about: About = "item"
    """What a refusal is about: the whole object, one container's page, one item, a write."""
    get: bool = True
    content_host: bool = False
    """A pre-authorised URL, not Graph itself."""
    onenote: bool = False
    """The item is a child of a package or a OneNote section."""


class Verdict(msgspec.Struct, frozen=True):
    """What to do: `kind` names the row of the ladder, `cause` its detail."""

    kind: Kind
    cause: str = ""
    wait_s: float | None = None
    location: str = ""


SKIPPED_CODES = {
    "malwaredetected": "malware",
    "errorinvalidrecipients": "invalid_recipients",
    "errorcorruptdata": "corrupt",
    "errorcannotopenfileattachment": "attachment_unreadable",
}
GONE_CODES = frozenset(
    {"erroritemnotfound", "itemnotfound", "resourcenotfound", "errorsyncfoldernotfound"}
)
RESYNC_CODES = frozenset({
    "syncstatenotfound", "syncstateinvalid", "resyncrequired",
    "resyncchangesapplydifferences", "resyncchangesuploaddifferences",
})  # fmt: skip
FOLDER_GONE_CODES = frozenset(
    {"errorsyncfoldernotfound", "erroritemnotfound", "errorfoldernotfound"}
)
OBJECT_STATES = {
    "mailboxnotenabledforrestapi": "mailbox_not_enabled",
    "mailboxnotsupportedforrestapi": "mailbox_not_enabled",
    "notallowed": "drive_locked",
    "request_resourcenotfound": "user_deleted",
    "errorinvaliduser": "user_deleted",
}
# SharePoint says these two only in words; the code beside them is a general one.
OBJECT_MESSAGES = (
    ("mysite not found", "drive_not_provisioned"),
    ("does not have a spo license", "no_sharepoint_licence"),
)
ACCESS_CODES = frozenset({"erroraccessdenied", "accessdenied"})
TENANT_REFUSALS = frozenset({"authorization_requestdenied", "authorization_identitynotfound"})
_KNOWN_CODES = (
    SKIPPED_CODES.keys() | GONE_CODES | RESYNC_CODES | FOLDER_GONE_CODES | OBJECT_STATES.keys()
    | ACCESS_CODES | TENANT_REFUSALS
)  # fmt: skip


def telling_code(codes: list[str]) -> str:
    """Of an error's code and those of its inner errors the first we know, else the outer."""
    known = (code for code in codes if code.lower() in _KNOWN_CODES)
    return next(known, codes[0] if codes else "")


def classify(asked: Asked, answer: Answer) -> Verdict:
    """Place a refusal on the ladder; only for answers that are not 2xx."""
    code = answer.code.lower()
    return (
        _by_code(asked, answer, code)
        or _by_object_state(asked, answer, code)
        or _by_status(asked, answer, code)
    )


def _by_code(asked: Asked, answer: Answer, code: str) -> Verdict | None:
    if answer.infected:
        return Verdict("skip", "malware")
    if code in SKIPPED_CODES and asked.about in ("item", "write"):
        return Verdict("skip", SKIPPED_CODES[code])
    if code in RESYNC_CODES:
        return Verdict("resync", location=answer.location)
    if code in TENANT_REFUSALS:
        return Verdict("consent", "degraded")
    if asked.onenote and answer.status == 503 and answer.retry_after is None:
        return Verdict("skip", "onenote")
    return None


def _by_object_state(asked: Asked, answer: Answer, code: str) -> Verdict | None:
    if code in OBJECT_STATES:
        return Verdict("object", OBJECT_STATES[code])
    words = answer.message.lower()
    for phrase, state in OBJECT_MESSAGES:
        if phrase in words:
            return Verdict("object", state)
    if answer.status == 403 and code in ACCESS_CODES and asked.about in ("object", "container"):
        return Verdict("object", "access_denied")
    return None


def _by_status(asked: Asked, answer: Answer, code: str) -> Verdict:
    status = answer.status
    if status == 429 or (status == 503 and answer.retry_after is not None):
        return Verdict("throttled", "app" if answer.whole_app else "", answer.retry_after)
    if asked.content_host and status in (401, 403, 404):
        return Verdict("dead_url")
    if status == 401:
        return Verdict("expired_token")
    if status in (500, 502, 503, 504, 408):
        return Verdict("transient")
    if status == 410:
        return Verdict("resync", location=answer.location)
    if asked.get and status == 404 and answer.empty:
        return Verdict("quirk")
    if asked.get and status == 400 and code == "invalidrequest":
        return Verdict("quirk")
    if status == 404 and asked.about == "container" and code in FOLDER_GONE_CODES:
        return Verdict("container_gone")
    if status == 404 and asked.about == "item" and code in GONE_CODES:
        return Verdict("skip", "gone")
    return Verdict("failed")


# Longest wait before each repetition of a transient fault (7.3): four waits, four repetitions.
TRANSIENT_WAITS_S = (3.0, 6.0, 12.0, 24.0)
TRANSIENT_RETRIES = len(TRANSIENT_WAITS_S)
QUIRK_RETRIES = 3
DEAD_URL_RETRIES = 2
# A throttling answer without a hint fences for 30 s, doubling to 10 minutes (section 7.3).
FENCE_WITHOUT_HINT_S = 30.0
FENCE_WITHOUT_HINT_LIMIT_S = 600.0


def transient_wait_s(tries: int, dice: float) -> float:
    """Full jitter: `dice` in [0, 1) of the rung reached after `tries` tries."""
    return TRANSIENT_WAITS_S[min(tries, len(TRANSIENT_WAITS_S)) - 1] * dice


def blind_fence_s(times_before: int) -> float:
    """Length of the fence for a throttling answer that gives no Retry-After."""
    return float(min(FENCE_WITHOUT_HINT_S * 2**times_before, FENCE_WITHOUT_HINT_LIMIT_S))
