"""Ends the ZIP: manifest, receipt, a word for people, the central directory; then it exists."""

import asyncio
import hashlib
from dataclasses import dataclass

import orjson

from shared.export.model import Export, Position, SliceRow
from shared.export.pieces import Pieces, block_id
from shared.export.zipping import Zip
from shared.protection.browsing import Opened

README = """\
This archive was exported from a backup. No program of the backup's maker is needed to read it.

items/          what was exported: mail as .eml or .mbox, calendars as .ics, contacts as .vcf,
                files as they were, anything else as .json; beside the messages of a channel
                conversation.html, the same words for reading
manifest.jsonl  one JSON line per item: where it is, its size and SHA-256 here, its name in the
                backup (itemKey, contentHash), or why it could not be taken out (error)
receipt.json    the restore point it came from: its Merkle root and record hash

A name that had to be changed, and every mail, carries the first letters of its item key.
"""


@dataclass(frozen=True, slots=True)
class End:
    """The finished file."""

    size: int
    manifest_sha256: str


async def write_end(
    pieces: Pieces, opened: Opened, export: Export, rows: list[SliceRow], nonce: str
) -> End:
    """Write what stands at the end and make the file; doing it again makes the same file anew."""
    number = rows[-1].number + 1 if rows else 0
    archive = Zip(rows[-1].position if rows else Position())
    blocks = pieces.writer(number, nonce)
    if archive.entry is not None:
        await blocks.add(archive.end())
    digest = hashlib.sha256()
    await blocks.add(archive.begin("manifest.jsonl", None))
    for row in rows:
        lines = await pieces.manifest(row.number, row.nonce)
        digest.update(lines)
        await blocks.add(await asyncio.to_thread(archive.write, lines))
    await blocks.add(archive.end())
    said = {
        "exportId": export.export_id,
        "objectId": export.object_id,
        "displayName": opened.found.display_name,
        "manifestSha256": digest.hexdigest(),
        "receipt": opened.head.receipt(),
    }
    for name, data in (
        ("receipt.json", orjson.dumps(said, option=orjson.OPT_INDENT_2) + b"\n"),
        ("README.txt", README.encode()),
    ):
        await blocks.add(archive.begin(name, None))
        await blocks.add(archive.write(data))
        await blocks.add(archive.end())
    for row in rows:
        await blocks.add(await pieces.directory(row.number, row.nonce))
    await blocks.add(bytes(archive.directory))
    end = archive.close()
    await blocks.add(end)
    last = await blocks.close()
    named = [block_id(row.number, row.nonce, at) for row in rows for at in range(row.blocks)] + [
        block_id(number, nonce, at) for at in range(last)
    ]
    await pieces.commit(named)
    position = archive.position
    return End(position.offset + position.directory + len(end), digest.hexdigest())
