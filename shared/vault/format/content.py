"""Content hash over pieces (V14, V15) and transform 1, the base64 lines of an attachment (V18)."""

from base64 import b64encode
from collections.abc import Iterable, Iterator
from hashlib import sha256

from shared.vault.format.errors import UnknownFormat
from shared.vault.format.primitives import sha

PIECE = 64 << 20
EMPTY = sha(b"")
_LINE = 57  # plain bytes of one 76-character line


class ContentHash:
    """Running content hash; holds one hash state and 32 bytes per finished piece.

    Whole pieces that were hashed before go on from their hashes alone: `pieces` (V15).
    """

    def __init__(self, pieces: Iterable[bytes] = ()) -> None:
        self.pieces = list(pieces)
        self.length = len(self.pieces) * PIECE
        self._piece = sha256()
        self._room = PIECE

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Take more content."""
        view = memoryview(data)
        self.length += len(view)
        while view:
            now, view = view[: self._room], view[self._room :]
            self._piece.update(now)
            self._room -= len(now)
            if self._room == 0:
                self.pieces.append(self._piece.digest())
                self._piece, self._room = sha256(), PIECE

    def piece(self) -> bytes:
        """The hash of the piece at hand."""
        return self._piece.digest()

    def digest(self) -> bytes:
        """The hash of all content so far."""
        begun = self._room < PIECE or not self.pieces
        pieces = [*self.pieces, self._piece.digest()] if begun else self.pieces
        return pieces[0] if len(pieces) == 1 else pieces_hash(self.length, pieces)


def pieces_hash(length: int, pieces: list[bytes]) -> bytes:
    """Content hash of more than 64 MiB from the hashes of its pieces."""
    return sha(b"holdfast/1/pieces\0" + length.to_bytes(8) + b"".join(pieces))


def content_hash(data: bytes) -> bytes:
    """Content hash of bytes held in memory."""
    if len(data) <= PIECE:
        return sha(data)
    running = ContentHash()
    running.update(data)
    return running.digest()


class Transform:
    """Turns the plaintext of consecutive locations into content, streaming."""

    def __init__(self) -> None:
        self._rest = b""
        self._started = False

    def feed(self, number: int, data: bytes) -> Iterator[bytes]:
        """Content made of one chunk whose location names transform `number` (0 = none)."""
        if number == 0:
            yield from self.finish()
            yield data
        elif number == 1:
            data = self._rest + data
            whole = len(data) - (len(data) % _LINE or _LINE)  # keep the last line back: no CRLF
            self._rest = data[max(whole, 0) :]
            if whole > 0:
                yield self._lines(data[:whole])
        else:
            raise UnknownFormat(f"transform {number}")

    def finish(self) -> Iterator[bytes]:
        """What is left at the end of a run of transformed locations."""
        if self._rest:
            yield self._lines(self._rest)
        self._rest, self._started = b"", False

    def _lines(self, data: bytes) -> bytes:
        coded = b64encode(data)
        text = b"\r\n".join(coded[at : at + 76] for at in range(0, len(coded), 76))
        first, self._started = not self._started, True
        return text if first else b"\r\n" + text
