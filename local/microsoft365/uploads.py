"""Upload sessions: large files and attachments arrive in fragments at pre-authorised addresses."""

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from local.microsoft365.clock import iso
from local.microsoft365.tenant import Tenant
from local.microsoft365.wire import Answer, Call, Fault, answer_json

JSON = dict[str, Any]
FRAGMENT = 320 * 1024
MOST_FRAGMENT = 60 * 1024 * 1024
_RANGE = re.compile(r"^bytes (\d+)-(\d+)/(\d+|\*)$")


@dataclass(slots=True)
class UploadSession:
    """A started upload; `finish` makes the thing when the last byte is here."""

    finish: Callable[[Call, bytes], Answer]
    expires: float
    data: bytearray = field(default_factory=bytearray)
    total: int | None = None
    multiple: int = FRAGMENT
    most: int = MOST_FRAGMENT
    mail: bool = False
    tenant: Tenant | None = None


def begin(call: Call, session: UploadSession) -> JSON:
    """Register a session and return what createUploadSession answers."""
    token = secrets.token_urlsafe(48)
    sim = call.sim
    for old in [key for key, one in sim.uploads.items() if one.expires < sim.clock.seconds()]:
        del sim.uploads[old]
    sim.uploads[token] = session
    return {
        "uploadUrl": f"{call.origin}/_upload/{token}",
        "expirationDateTime": _expiry(session),
        "nextExpectedRanges": ["0-"],
    }


def lifetime(call: Call) -> float:
    """Return when a session started now will expire."""
    return call.sim.clock.seconds() + float(call.sim.limits.get("content", "uploadLifetime"))


def _expiry(session: UploadSession) -> str:
    return iso(datetime.fromtimestamp(session.expires, UTC))


async def upload(call: Call) -> Answer:
    """Answer PUT (a fragment), GET (what is missing) and DELETE (cancel) of an upload address."""
    token = call.path.strip("/").split("/")[0]
    session: UploadSession | None = call.sim.uploads.get(token)
    if session is None or session.expires <= call.sim.clock.seconds() or call.action == "gone":
        raise Fault(404, "itemNotFound", "The upload session was not found.")
    if call.method == "GET":
        return answer_json(_progress(session))
    if call.method == "DELETE":
        del call.sim.uploads[token]
        return Answer(204)
    if call.method != "PUT":
        raise Fault(405, "invalidRequest", "Use PUT, GET or DELETE.")
    start, end, total = _content_range(call.headers.get("Content-Range", ""))
    data = await call.read()
    call.sim.stats.bytes_in += len(data)
    _check(session, start, end, total, len(data))
    session.data += data
    session.total = total
    if len(session.data) < total:
        return answer_json(_progress(session), 200 if session.mail else 202)
    call.current_tenant = session.tenant
    answer = session.finish(call, bytes(session.data))
    call.sim.uploads.pop(token, None)
    return answer


def _progress(session: UploadSession) -> JSON:
    have = len(session.data)
    end = "" if session.total is None or session.mail else str(session.total - 1)
    return {
        "expirationDateTime": _expiry(session),
        "nextExpectedRanges": [f"{have}-{end}"],
    }


def _content_range(text: str) -> tuple[int, int, int]:
    match = _RANGE.match(text)
    if not match or match[3] == "*":
        raise Fault(400, "invalidRequest", "The Content-Range header is missing or malformed.")
    start, end, total = int(match[1]), int(match[2]), int(match[3])
    if end < start or end >= total:
        raise Fault(400, "invalidRequest", "The Content-Range header is not consistent.")
    return start, end, total


def _check(session: UploadSession, start: int, end: int, total: int, length: int) -> None:
    if length != end - start + 1:
        raise Fault(400, "invalidRequest", "The fragment is not as long as its Content-Range.")
    if length > session.most:
        raise Fault(413, "fragmentTooLarge", "The fragment is too large.")
    if session.total is not None and total != session.total:
        raise Fault(400, "invalidRequest", "The total size changed.")
    if start != len(session.data):
        code = "fragmentOverlap" if start < len(session.data) else "fragmentOutOfOrder"
        raise Fault(416, code, "The fragment does not continue what was received.")
    if end + 1 < total and length % session.multiple:
        raise Fault(400, "invalidRequest", "Fragments are multiples of 320 KiB.")
