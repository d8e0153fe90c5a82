"""The content host: bytes of files by range, behind addresses that expire."""

import re
from collections.abc import AsyncIterator

from local.microsoft365.drive_json import mime_type
from local.microsoft365.sources import FileSource
from local.microsoft365.wire import Answer, Call, Fault

STEP = 256 * 1024
_RANGE = re.compile(r"^bytes=(\d*)-(\d*)$")


def serve(source: FileSource, wanted: str | None, media: str, etag: str) -> Answer:
    """Answer the bytes of a file, or the range asked for; raises 416 for one outside."""
    size = source.size
    start, end, status = 0, size, 200
    headers = {"Content-Type": media, "Accept-Ranges": "bytes", "ETag": etag}
    match = _RANGE.match(wanted.strip()) if wanted else None
    if match and (match[1] or match[2]):
        if match[1]:
            start = int(match[1])
            end = min(size, int(match[2]) + 1) if match[2] else size
        else:
            start = max(0, size - int(match[2]))
        if start >= size or start >= end:
            raise Fault(
                416, "invalidRange", "The range is outside.", {"Content-Range": f"bytes */{size}"}
            )
        status = 206
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    if end - start <= STEP:
        return Answer(status, source.read(start, end - start), headers)
    return Answer(status, b"", headers, stream=_pieces(source, start, end), length=end - start)


async def _pieces(source: FileSource, start: int, end: int) -> AsyncIterator[bytes]:
    while start < end:
        piece = source.read(start, min(STEP, end - start))
        if not piece:
            return
        yield piece
        start += len(piece)


async def download(call: Call) -> Answer:
    """Answer /_content/{token}/…: no bearer token, only the address itself counts."""
    sim = call.sim
    opened = sim.sealer.open(call.path.strip("/").split("/")[0])
    if not opened or opened[0] != "content":
        raise Fault(404, "itemNotFound", "Not found.")
    tenant = sim.tenants.get(str(opened[1]))
    found = tenant.find_drive(str(opened[2])) if tenant else None
    call.current_tenant, call.current_user = tenant, found[0] if found else None
    if float(str(opened[4])) <= sim.clock.seconds():
        raise Fault(int(sim.limits.get("content", "expiredStatus")), "unauthenticated", "Expired.")
    item = found[1].items.get(str(opened[3])) if found else None
    if found is None or item is None or item.source is None:
        raise Fault(404, "itemNotFound", "Not found.")
    if item.malware:
        raise Fault(403, "malwareDetected", "Malware detected.", {"X-Virus-Infected": "true"})
    return serve(item.source, call.headers.get("Range"), mime_type(item), found[1].etag(item))
