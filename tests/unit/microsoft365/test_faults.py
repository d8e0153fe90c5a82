"""The ladder of microsoft365.md 7.3 and the skips of section 5, row by row."""

import re

import pytest

from shared.microsoft365.answers import answer_of, retry_after_s
from shared.microsoft365.faults import (
    TRANSIENT_WAITS_S,
    Answer,
    Asked,
    blind_fence_s,
    classify,
    telling_code,
    transient_wait_s,
)
from tests.unit.microsoft365.conftest import NOW

ITEM, OBJECT, FOLDER = Asked(), Asked(about="object"), Asked(about="container")
WRITE, CONTENT = Asked(about="write", get=False), Asked(content_host=True)

LADDER = [
    (ITEM, Answer(429, retry_after=5), "throttled", ""),
    (ITEM, Answer(429), "throttled", ""),
    (ITEM, Answer(429, retry_after=5, whole_app=True), "throttled", "app"),
    (ITEM, Answer(503, retry_after=5), "throttled", ""),
    (ITEM, Answer(503), "transient", ""),
    (ITEM, Answer(500), "transient", ""),
    (ITEM, Answer(502), "transient", ""),
    (ITEM, Answer(504), "transient", ""),
    (ITEM, Answer(408), "transient", ""),
    (ITEM, Answer(404, empty=True), "quirk", ""),
    (ITEM, Answer(400, "invalidRequest"), "quirk", ""),
    (WRITE, Answer(400, "invalidRequest"), "failed", ""),
    (WRITE, Answer(404, empty=True), "failed", ""),
    (ITEM, Answer(401), "expired_token", ""),
    (CONTENT, Answer(401), "dead_url", ""),
    (CONTENT, Answer(403), "dead_url", ""),
    (CONTENT, Answer(404), "dead_url", ""),
    (FOLDER, Answer(410, "resyncRequired", location="x"), "resync", ""),
    (FOLDER, Answer(410, "somethingNew"), "resync", ""),
    (FOLDER, Answer(400, "SyncStateNotFound"), "resync", ""),
    (FOLDER, Answer(404, "ErrorSyncFolderNotFound"), "container_gone", ""),
    (FOLDER, Answer(404, "ErrorItemNotFound"), "container_gone", ""),
    (ITEM, Answer(403, "malwareDetected"), "skip", "malware"),
    (CONTENT, Answer(200, infected=True), "skip", "malware"),
    (Asked(onenote=True), Answer(503), "skip", "onenote"),
    (Asked(onenote=True), Answer(503, retry_after=9), "throttled", ""),
    (ITEM, Answer(400, "ErrorInvalidRecipients"), "skip", "invalid_recipients"),
    (ITEM, Answer(500, "ErrorCorruptData"), "skip", "corrupt"),
    (ITEM, Answer(500, "ErrorCannotOpenFileAttachment"), "skip", "attachment_unreadable"),
    (ITEM, Answer(404, "ErrorItemNotFound"), "skip", "gone"),
    (ITEM, Answer(404, "ITEMNOTFOUND"), "skip", "gone"),
    (ITEM, Answer(418, "teapot"), "failed", ""),
    (ITEM, Answer(403, "ErrorAccessDenied"), "failed", ""),
    (OBJECT, Answer(403, "ErrorAccessDenied"), "object", "access_denied"),
    (OBJECT, Answer(404, "MailboxNotEnabledForRESTAPI"), "object", "mailbox_not_enabled"),
    (OBJECT, Answer(404, "ResourceNotFound", "User's mysite not found."), "object",
     "drive_not_provisioned"),
    (OBJECT, Answer(400, "BadRequest", "Tenant does not have a SPO license."), "object",
     "no_sharepoint_licence"),
    (OBJECT, Answer(423, "notAllowed"), "object", "drive_locked"),
    (OBJECT, Answer(404, "Request_ResourceNotFound"), "object", "user_deleted"),
    (OBJECT, Answer(404, "ErrorInvalidUser"), "object", "user_deleted"),
    (OBJECT, Answer(403, "ErrorQuotaExceeded"), "failed", ""),
    (OBJECT, Answer(403, "Authorization_RequestDenied"), "consent", "degraded"),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "answer", "kind", "cause"), LADDER)
def test_every_row_of_the_ladder(asked: Asked, answer: Answer, kind: str, cause: str) -> None:
    verdict = classify(asked, answer)
    assert (verdict.kind, verdict.cause) == (kind, cause)


def test_m12_codes_are_compared_without_case() -> None:
    assert classify(FOLDER, Answer(400, "SYNCSTATENOTFOUND")).kind == "resync"


def test_inner_codes_are_seen_when_we_know_them() -> None:
    body = b'{"error":{"code":"UnknownError","innerError":{"code":"malwareDetected"}}}'
    assert answer_of(403, {}, body, NOW).code == "malwareDetected"
    assert telling_code(["general", "alsoUnknown"]) == "general"
    assert telling_code([]) == ""


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"error":"text"}', b'{"error":{"code":1}}']
)
def test_any_body_can_be_read(body: bytes) -> None:
    assert answer_of(502, {}, body, NOW).code == ""


def test_retry_after_in_both_forms() -> None:
    assert retry_after_s("17", NOW) == 17
    assert retry_after_s("Thu, 01 Jan 2026 00:00:30 GMT", NOW) == 30
    assert retry_after_s("soon", NOW) is None
    assert retry_after_s(None, NOW) is None


def test_waits_double_with_full_jitter() -> None:
    assert [transient_wait_s(n, 1.0) for n in range(1, 6)] == [*TRANSIENT_WAITS_S, 24.0]
    assert transient_wait_s(2, 0.5) == 3
    assert [blind_fence_s(n) for n in range(7)] == [30, 60, 120, 240, 480, 600, 600]


def test_m9_no_verdict_shows_a_url() -> None:
    text = repr(classify(CONTENT, Answer(404, location="https://secret")))
    assert not re.search("https://", text)
