"""Brings one item's content into the vault; a huge one piece by piece over slices (V15)."""

from collections.abc import Callable, Mapping
from typing import Any

from shared.microsoft365.errors import ItemFailed
from shared.microsoft365.model import Change, Mark, ReadsOn, Workload
from shared.vault.slices import Slice

# The content is no longer the one whose beginning is stored, or its host cannot read on.
OTHER_CONTENT = frozenset({"ChangedWhileRead", "WrongRange", "invalidRange"})


async def fetch_into(
    part: Slice, workload: Workload, change: Change, *, stop: Callable[[], bool]
) -> bool:
    """Read the content and put the item; False when `stop` ended it between two pieces.

    Then, and when the slice is over in the middle of it, a later slice reads on where this one
    stopped: of a file of 5 GB that broke off at 3 GB, 2 GB are left. Raises what fetching raises.
    """
    if not isinstance(workload, ReadsOn) or not workload.reads_on(change):
        return await part.put(change.item, await workload.fetch(change))
    mark = _mark(part, workload, change)
    if mark.at:
        try:
            return await _read_on(part, workload, change, mark, stop)
        except ItemFailed as failed:
            if failed.graph_code not in OTHER_CONTENT:
                raise
    return await _read_on(part, workload, change, Mark(), stop)


async def _read_on(
    part: Slice, workload: ReadsOn, change: Change, mark: Mark, stop: Callable[[], bool]
) -> bool:
    resume = mark.at > 0

    def note() -> Mapping[str, Any]:
        return {"item": change.item, "tag": mark.tag}

    content = await workload.fetch_from(change, mark)
    return await part.put(change.item, content, resume=resume, stop=stop, note=note)


def _mark(part: Slice, workload: Workload, change: Change) -> Mark:
    """Where to go on: only inside the content that was listed when its beginning was stored."""
    half = part.half(change.item["i"])
    if half is None:
        return Mark()
    listed = half.note["item"]
    if listed.get("v") == change.item.get("v"):
        return Mark(half.size, half.note["tag"])
    if workload.content_changed({**listed, "d": ""}, change):
        return Mark()
    return Mark(half.size)  # renamed or shared meanwhile: its tag is another one now
