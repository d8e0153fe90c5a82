"""Content hash over pieces (V14, V15) and transform 1, the base64 lines of an attachment (V18)."""

from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256

from shared.vault.format.errors import UnknownFormat
from shared.vault.format.primitives import sha

PIECE = 64 << 20
EMPTY = sha(b"")
_LINE = 57  # plain bytes of one 76-character line


class ContentHash:
    """Running content hash; holds one hash state and 32 bytes per finished piece."""

    def __init__(self) -> None:
        self.length = 0
        self._pieces: list[bytes] = []
        self._piece = sha256()
        self._room = PIECE

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """Take more content."""
        view = memoryview(data)
        self.length += len(view)
        while len(view) > self._room:
            self._piece.update(view[: self._room])
            view = view[self._room :]
            self._pieces.append(self._piece.digest())
            self._piece, self._room = sha256(), PIECE
        self._piece.update(view)
        self._room -= len(view)

    def digest(self) -> bytes:
        """The hash of all content so far."""
        if self.length <= PIECE:
            return self._piece.digest()
        return pieces_hash(self.length, [*self._pieces, self._piece.digest()])


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
