"""What the activities of an export do: plan, write a slice of the ZIP, seal.

Every function may run twice, even at once: the blocks of a slice carry the execution's own mark,
and only those of the execution whose slice row stands become part of the file.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from shared.access.model import Scope
from shared.export import channel_pages, repository
from shared.export.model import READY, Export, ExportState, Folder, SliceRow
from shared.export.pieces import CONTAINER, KEY_BYTES, Pieces
from shared.export.sealing import write_end
from shared.export.tasks import ExportTask
from shared.export.writing import SliceWriter
from shared.kit.ids import new_id
from shared.kit.slicing import SliceAnswer
from shared.protection import browsing
from shared.protection.browsing import Opened
from shared.restore.choosing import chosen_rows
from shared.restore.rules import FOLDER_KINDS
from shared.vault.model import Row

if TYPE_CHECKING:
    from shared.bootstrap import Deps

NONCE_LETTERS = 8


async def pieces_of(deps: "Deps", export: Export) -> Pieces:
    """The export's blobs, in the region of its customer (BKP-25)."""
    storage = deps.storage.in_region(export.region)
    return Pieces(await storage.container(CONTAINER, create=True), export)


async def plan(
    pieces: Pieces,
    opened: Opened,
    items: Sequence[str] | None,
    top: Row | None,
    *,
    by_folder: bool,
) -> tuple[int, int]:
    """Write down what is taken: the number of items, and of those told once more in a page."""
    keys: dict[str, bytearray] = {}
    pages: dict[str, list[bytes]] = {}
    folders: dict[str, Folder] = {}
    async for row in opened.snapshot.rows():
        if row.kind in FOLDER_KINDS:
            name = "" if row.item.get("m", {}).get("root") else row.name
            mark = opened.key(row)
            folders[row.source_id] = Folder(name=name, parent=row.parent, mark=mark[:12])
    async for row, _ in chosen_rows(opened, items, top):
        if row.kind in FOLDER_KINDS:
            folders[row.source_id].chosen = items is None
            if not row.has_content:
                continue  # a list's columns or a channel's settings leave as JSON beside it
        group = str(row.parent) if by_folder else ""
        key = bytes.fromhex(opened.key(row))
        keys.setdefault(group, bytearray()).extend(key)
        if row.kind in channel_pages.KINDS:
            channel, place = channel_pages.order_of(row)
            pages.setdefault(channel, []).append(place + key)
    whole = b"".join(bytes(keys[group]) for group in sorted(keys))
    told = b"".join(one[-KEY_BYTES:] for channel in sorted(pages) for one in sorted(pages[channel]))
    await pieces.save_plan(whole + told, folders)
    return len(whole) // KEY_BYTES, len(told) // KEY_BYTES


async def plan_export(deps: "Deps", task: ExportTask) -> None:
    """Plan a folder or a whole object; items named one by one are planned already."""
    scope, now = Scope(task.partner_id), deps.clock.now()
    export = await repository.change(
        deps.tables, scope, task.export_id, lambda found: _running(found, now)
    )
    if export.is_over or export.planned:
        return
    opened = await browsing.open_point(deps, scope, export.object_id, export.snapshot)
    top = await browsing.find_row(opened, export.folder_key) if export.folder_key else None
    pieces = await pieces_of(deps, export)
    total, told = await plan(pieces, opened, None, top, by_folder=export.layout == "mbox")

    def planned(found: Export) -> Export | None:
        update = {"planned": True, "total": total, "told": told, "updated_at": now}
        return None if found.is_over else found.model_copy(update=update)

    await repository.change(deps.tables, scope, task.export_id, planned)


async def export_slice(deps: "Deps", task: ExportTask) -> SliceAnswer:
    """Write the next part of the ZIP."""
    scope = Scope(task.partner_id)
    export = await repository.get(deps.tables, scope, task.export_id)
    if export.is_over or export.cancel_requested:
        return SliceAnswer(outcome="done")
    done = await repository.find_slice(deps.tables, export.export_id, task.number)
    if done is None:
        before = None
        if task.number:
            before = await repository.find_slice(deps.tables, export.export_id, task.number - 1)
            assert before is not None
        opened = await browsing.open_point(deps, scope, export.object_id, export.snapshot)
        pieces, nonce = await pieces_of(deps, export), new_id(NONCE_LETTERS)
        writer = SliceWriter(pieces, opened, export, before, deps.clock)
        done = await repository.add_slice(
            deps.tables, export.export_id, await writer.write(task.number, nonce)
        )
    now, position = deps.clock.now(), done.position

    def noted(found: Export) -> Export | None:
        update = {
            "done": max(found.done, min(position.done, found.total)),
            "failed": max(found.failed, position.failed),
            "bytes": max(found.bytes, position.bytes),
            "updated_at": now,
        }
        return None if found.is_over else found.model_copy(update=update)

    await repository.change(deps.tables, scope, task.export_id, noted)
    return SliceAnswer(outcome="more" if position.done < export.steps else "done")


async def seal_export(deps: "Deps", task: ExportTask) -> ExportState:
    """Put the file together, or clear up what there is; the state follows from what was done."""
    scope = Scope(task.partner_id)
    export = await repository.get(deps.tables, scope, task.export_id)
    pieces = await pieces_of(deps, export)
    if export.is_over:
        await _tidy(deps, pieces, export)  # the execution that ended it may have died here
        return export.state
    rows: list[SliceRow] = [row async for row in repository.slices(deps.tables, export.export_id)]
    complete = export.planned and (rows[-1].position.done if rows else 0) >= export.steps
    update: dict[str, object] = {"error": task.error}
    if export.cancel_requested:
        state = ExportState.CANCELED
    elif task.error is not None or not complete:
        state = ExportState.FAILED
    else:
        opened = await browsing.open_point(deps, scope, export.object_id, export.snapshot)
        end = await write_end(pieces, opened, export, rows, new_id(NONCE_LETTERS))
        failed = rows[-1].position.failed if rows else 0
        state = ExportState.COMPLETED_WITH_ERRORS if failed else ExportState.COMPLETED
        update |= {"size": end.size, "manifest_sha256": end.manifest_sha256}
    now = deps.clock.now()

    def ended(found: Export) -> Export | None:
        if found.is_over:
            return None
        changed = {**update, "state": state, "ended_at": now, "updated_at": now}
        return found.model_copy(update=changed)

    sealed = await repository.change(deps.tables, scope, task.export_id, ended)
    await _tidy(deps, pieces, sealed)
    return sealed.state


async def _tidy(deps: "Deps", pieces: Pieces, export: Export) -> None:
    """Delete what the file was made of, once the row says how it ended."""
    await pieces.clear(file=export.state not in READY)
    await repository.drop_slices(deps.tables, export.export_id)


def _running(export: Export, now: datetime) -> Export | None:
    if export.is_over or export.state is not ExportState.QUEUED:
        return None
    update = {"state": ExportState.RUNNING, "started_at": now, "updated_at": now}
    return export.model_copy(update=update)
