"""Large content of which whole pieces are stored: what a later slice goes on from (V15)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from shared.vault.format.primitives import b64u, unb64u
from shared.vault.format.rows import Place, place_members, place_of

Note = Callable[[], Mapping[str, Any]]
"""What the caller wants to find again beside the pieces, asked when the slice ends."""


class Half(NamedTuple):
    """Of an item's content the first `size` bytes are stored; `note` is what the caller noted."""

    size: int
    note: dict[str, Any]


@dataclass(slots=True)
class Begun:
    """Finished pieces of one content; places count in the pack table of the slice at hand."""

    pieces: list[bytes] = field(default_factory=list)
    """Their SHA-256, which is all that the hash of the whole needs of them (6.1)."""
    size: int = 0
    places: list[Place] = field(default_factory=list)
    lists: list[Place] = field(default_factory=list)
    """List chunks that hold the places before `places` (6.2)."""
    reach: set[int] = field(default_factory=set)
    """Packs that the list chunks name."""

    def finished(self, size: int, piece: bytes, places: list[Place]) -> None:
        """One more piece is stored."""
        self.size += size
        self.pieces.append(piece)
        self.places += places

    def document(self, note: Mapping[str, Any]) -> dict[str, Any]:
        """As it stands in a checkpoint."""
        return {
            "size": self.size,
            "pieces": [b64u(piece) for piece in self.pieces],
            "places": [place_members(place) for place in self.places],
            "lists": [place_members(place) for place in self.lists],
            "reach": sorted(self.reach),
            "note": dict(note),
        }


def read_begun(document: Mapping[str, Any], to: Callable[[int], int]) -> Begun:
    """From a checkpoint; `to` counts a pack of its table in the table of the slice at hand."""

    def moved(members: list[Any]) -> Place:
        place = place_of(members)
        return place._replace(pack=to(place.pack))

    return Begun(
        pieces=[unb64u(piece) for piece in document["pieces"]],
        size=int(document["size"]),
        places=[moved(members) for members in document["places"]],
        lists=[moved(members) for members in document["lists"]],
        reach={to(index) for index in document["reach"]},
    )


class Unfinished(NamedTuple):
    """What the checkpoint before says of content that it did not finish, by source id."""

    documents: dict[str, dict[str, Any]]
    packs: list[bytes]


class Shortens(Protocol):
    """Moves places into list chunks."""

    async def shorten(self, begun: Begun) -> None:
        """Keep what a checkpoint has to hold of it small."""
        ...


class Halves:
    """Unfinished content of one slice: what it found, what it went on with, what it leaves."""

    def __init__(self, before: Unfinished, index_of: Callable[[bytes], int]) -> None:
        self._before = dict(before.documents)
        self._packs, self._index_of = before.packs, index_of
        self._now: dict[str, tuple[Begun, Note]] = {}

    def of(self, source_id: str) -> Half | None:
        """What earlier slices left of an item."""
        found = self._before.get(source_id)
        return None if found is None else Half(int(found["size"]), dict(found["note"]))

    def taken(self, source_id: str) -> Begun:
        """The pieces to go on from; ValueError when there are none."""
        found = self._before.get(source_id)
        if found is None:
            raise ValueError("there is no half of this item to go on from")
        return self._read(found)

    def begin(self, source_id: str, begun: Begun, note: Note) -> None:
        """The item's content is being read; what was known of it before is replaced."""
        self._before.pop(source_id, None)
        self._now[source_id] = begun, note

    def drop(self, source_id: str) -> None:
        """The item has its row, or has none: its pieces are of no more use."""
        self._before.pop(source_id, None)
        self._now.pop(source_id, None)

    async def documents(self, writer: Shortens) -> dict[str, dict[str, Any]]:
        """What the checkpoint says; those that this slice did not reach are handed on."""
        for source_id, document in list(self._before.items()):
            kept = dict(document["note"])
            self.begin(source_id, self._read(document), lambda kept=kept: kept)  # type: ignore[misc]
        found = {}
        for source_id, (begun, note) in self._now.items():
            if begun.pieces:
                await writer.shorten(begun)
                found[source_id] = begun.document(note())
        return found

    def _read(self, document: Mapping[str, Any]) -> Begun:
        return read_begun(document, lambda index: self._index_of(self._packs[index]))
