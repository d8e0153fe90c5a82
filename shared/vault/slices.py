"""One slice of a run: takes items, stores their content, ends with its checkpoint (W1)."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shared.vault import rules
from shared.vault.begun import Begun, Half, Halves, Note
from shared.vault.contents import Content, ContentWriter, Stop
from shared.vault.errors import SliceFinished
from shared.vault.fastjson import encode_item
from shared.vault.format import checkpoint, names, rows
from shared.vault.format.checkpoint import CARRY, FAILED, GONE, KEEP, PUT, SKIPPED, Op
from shared.vault.format.primitives import b64u, hex16
from shared.vault.format.rows import Place
from shared.vault.keyring import put_once
from shared.vault.model import Cursor, GraphUse, Row, SliceResult

if TYPE_CHECKING:
    from shared.vault.run import Run

_COUNTERS = {
    PUT: "protected",
    CARRY: "metadata",
    KEEP: "unchanged",
    GONE: "gone",
    SKIPPED: "skipped",
    FAILED: "failed",
}


class Slice:
    """A bounded piece of a run (V51). Its number decides its place in page order."""

    def __init__(self, run: "Run", number: int, result: SliceResult | None) -> None:
        self.number, self.result = number, result
        self._run = run
        self._oid16 = hex16(run.keys.oid)
        self._writer = ContentWriter(run.store, run.keys)
        self._halves = Halves(run.begun, self._writer.index_of)
        self._ops: list[Op] = []
        self._position = 0
        self._report: list[dict[str, Any]] = []
        self._gone: list[str] = []
        self._folders: list[str] = []

    @property
    def done(self) -> bool:
        """Whether the slice has its checkpoint; `result` then holds what it did (V48)."""
        return self.result is not None

    @property
    def bytes_read(self) -> int:
        """Content bytes taken so far."""
        return self._writer.read

    @property
    def position(self) -> int:
        """Place of the newest operation in the slice; 0 = none yet."""
        return self._position

    @property
    def items(self) -> int:
        """Operations so far."""
        return len(self._ops)

    async def put(
        self,
        item: Mapping[str, Any],
        content: Content | None,
        *,
        resume: bool = False,
        stop: Stop | None = None,
        note: Note = dict,
    ) -> bool:
        """A new or changed item; `content` None for kinds without content. Fills `s` and `d`.

        When reading `content` raises, the item leaves no row and the error passes through; pieces
        that were stored stay known to the next slice, with what `note()` says then (V15).
        `resume`: the content begins at `half(...).size`. False when `stop()` ended it between two
        pieces: the item has no row yet.
        """
        position = self._next()
        row = {name: value for name, value in item.items() if name not in ("s", "d")}
        if content is None:
            self._add(position, PUT, "", row, b"[]")
            return True
        source_id = str(item["i"])

        async def reuse() -> Mapping[bytes, Place]:
            return await self._run.places(source_id, self._writer.index_of)

        begun = self._halves.taken(source_id) if resume else Begun()
        self._halves.begin(source_id, begun, note)
        stored = await self._writer.store(content, reuse, begun, stop)
        if stored is None:
            return False
        row["s"], row["d"] = stored.size, b64u(stored.digest)
        self._add(position, PUT, "", row, stored.location)
        return True

    def half(self, source_id: str) -> Half | None:
        """What earlier slices of this run stored of an item that they did not finish (V15)."""
        return self._halves.of(source_id)

    def carry(self, item: Mapping[str, Any], row: Row) -> None:
        """Only metadata changed: content and its location are those of `row`."""
        self._add(self._next(), CARRY, "", _with_content(item, row, row.item), self._moved(row))

    def keep(self, source_id: str, again: str = "") -> None:
        """Listed, and its version is the held one.

        `again`: the container that lists it once more, as the run's earlier operation said.
        """
        self._op(self._next(), KEEP, again, source_id, b"", b"")

    def gone(self, source_id: str, container: str) -> None:
        """Reported removed by `container`; what that means is decided at seal (M15, M16)."""
        self._gone.append(source_id)
        self._op(self._next(), GONE, container, source_id, rows.tombstone(source_id), b"[]")

    def failed(
        self, item: Mapping[str, Any], code: str, request_id: str = "", row: Row | None = None
    ) -> None:
        """The listed version could not be read and nobody knows why (M22); tried again next run."""
        self._trouble(FAILED, item, code, request_id, row)

    def skipped(self, item: Mapping[str, Any], cause: str, row: Row | None = None) -> None:
        """The listed version cannot be read for a known permanent cause."""
        self._trouble(SKIPPED, item, cause, "", row)

    async def finish(
        self,
        cursors: Mapping[str, Cursor | None],
        *,
        state: Mapping[str, Any] | None = None,
        more: bool,
        graph: GraphUse | None = None,
    ) -> SliceResult:
        """Put what is left and the checkpoint; if another execution was first, adopt its result."""
        self._refuse_when_done()
        begun = await self._halves.documents(self._writer)
        await self._writer.flush()
        result = self._result(more, graph or GraphUse())
        run = self._run
        meta = {
            "parent": run.parent_mark,
            "cursors": run.overlaid(cursors),
            "state": dict(state or {}),
            "packs": [pack.hex() for pack in self._writer.packs],
            "result": result.to_dict(),
            "report": self._report[: rules.MAX_REPORT],
            "gone": self._gone,
            "folders": self._folders,
            "begun": begun,
        }
        blob = await asyncio.to_thread(
            checkpoint.build,
            run.keys.key, run.keys.repo, run.keys.oid, run.id, self.number, run.epoch, meta,
            self._ops,
        )  # fmt: skip
        name = names.checkpoint(run.keys.oid, run.id, self.number)
        mine = await put_once(run.control, name, blob)
        self.result = await run.finished(self.number, None if mine else name, meta, result)
        self._ops = []
        return self.result

    async def abort(self) -> None:
        """Give the slice up: stop uploads; packs already put are orphans."""
        await self._writer.cancel()

    def _trouble(
        self, op: int, item: Mapping[str, Any], code: str, request_id: str, row: Row | None
    ) -> None:
        position = self._next()
        outcome = "failed" if op == FAILED else "skipped"
        self._report.append(
            {"i": item["i"], "outcome": outcome, "code": code, "request_id": request_id}
        )
        if row is not None and row.has_content:
            kept = _with_content(item, row, row.item) | {"e": "stale"}
            kept.pop("v", None)
            if "v" in row.item:
                kept["v"] = row.item["v"]
            self._add(position, op, code, kept, self._moved(row))
            return
        kept = {name: value for name, value in item.items() if name not in ("s", "d")}
        kept["e"] = f"{'fail' if op == FAILED else 'skip'}:{code}"
        if op == FAILED:
            kept.pop("v", None)  # no version is held: the next listing asks for it again
        self._add(position, op, code, kept, b"[]")

    def _moved(self, row: Row) -> bytes:
        return rows.remap(row.location, lambda index: self._writer.index_of(row.packs[index]))

    def _add(
        self, position: int, op: int, detail: str, item: dict[str, Any], location: bytes
    ) -> None:
        if item.get("k") in rules.CONTAINER_KINDS:
            self._folders.append(item["i"])
        self._op(position, op, detail, item["i"], encode_item(item), location)

    def _op(
        self, position: int, op: int, detail: str, source_id: str, item: bytes, location: bytes
    ) -> None:
        self._halves.drop(source_id)
        key = rows.key_of(self._oid16, source_id)
        self._ops.append(Op(key, position, op, detail, item, location))

    def _next(self) -> int:
        self._refuse_when_done()
        self._position += 1
        return self._position

    def _refuse_when_done(self) -> None:
        if self.done:
            raise SliceFinished(f"slice {self.number} is finished")

    def _result(self, more: bool, graph: GraphUse) -> SliceResult:
        counts = dict.fromkeys(_COUNTERS.values(), 0)
        for op in self._ops:
            counts[_COUNTERS[op.op]] += 1
        writer = self._writer
        return SliceResult(
            self.number, more, len(self._ops), counts, writer.read, writer.new, writer.stored, graph
        )


def _with_content(item: Mapping[str, Any], row: Row, held: Mapping[str, Any]) -> dict[str, Any]:
    """New metadata with the held content's `s`, `d` and what says why it is not current."""
    found = {name: value for name, value in item.items() if name not in ("s", "d")}
    found |= {name: held[name] for name in ("s", "d") if name in held}
    if row.error is not None and "e" not in found:
        found["e"] = row.error
    return found
