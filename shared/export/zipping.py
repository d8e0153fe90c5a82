"""Writes a ZIP piece by piece and can go on where another execution stopped (APPNOTE 6.3.10).

Every entry has its sizes behind it (bit 3), so nothing written is changed later; entries and
archive may be larger than 4 GiB (zip64). An entry that is interrupted ends with a full flush of
the compressor: what follows needs nothing of what was before.
"""

import struct
import zlib
from datetime import UTC, datetime

from shared.export.model import OpenEntry, Position

_FLAGS = 0x0808  # sizes follow; names are UTF-8
_VERSION = 45  # zip64
_UNIX = 3 << 8
_DEFLATED = 8
_FULL = 0xFFFFFFFF
_REGULAR, _DIRECTORY = 0o100600 << 16, (0o40700 << 16) | 0x10
# These are compressed already: storing them costs no time and hardly any bytes.
_PACKED = frozenset(
    {
        *("7z", "bz2", "gz", "rar", "xz", "zip", "zst", "docx", "odt", "pptx", "xlsx"),
        *("gif", "heic", "jpeg", "jpg", "png", "webp", "mkv", "mov", "mp3", "mp4"),
    }
)


class Zip:
    """The bytes of one archive from a position on; `directory` collects the new central records."""

    def __init__(self, position: Position | None = None) -> None:
        self.position = (position or Position()).model_copy(deep=True)
        self.directory = bytearray()
        self._compressor = zlib.compressobj(6, zlib.DEFLATED, -15)

    @property
    def entry(self) -> OpenEntry | None:
        """The file that is being written."""
        return self.position.entry

    def folder(self, path: str) -> bytes:
        """An empty folder."""
        return self.begin(path.rstrip("/") + "/", None) + self.end()

    def begin(self, path: str, at: int | None) -> bytes:
        """Start a file; `at` is when it was modified, epoch seconds."""
        if self.position.entry is not None:
            raise ValueError("an entry is still open")
        ending = path.rpartition(".")[2].lower()
        level = 0 if ending in _PACKED else 6
        self._compressor = zlib.compressobj(level, zlib.DEFLATED, -15)
        seconds = at if at is not None and 0 <= at < 1 << 31 else 0
        self.position.entry = OpenEntry(name=path, at=self.position.offset, modified=seconds)
        name, extra = path.encode(), struct.pack("<HHQQ", 1, 16, 0, 0) + _stamp(seconds)
        head = struct.pack(
            "<4s5H3L2H", b"PK\3\4", _VERSION, _FLAGS, _DEFLATED, *_dos(seconds),
            0, _FULL, _FULL, len(name), len(extra),
        )  # fmt: skip
        return self._out(head + name + extra)

    def write(self, data: bytes) -> bytes:
        """More content of the open file."""
        entry = self._opened()
        entry.crc = zlib.crc32(data, entry.crc)
        entry.size += len(data)
        return self._packed(self._compressor.compress(data))

    def suspend(self) -> bytes:
        """Bytes after which another `Zip` goes on at `position`, be a file open or not."""
        if self.position.entry is None:
            return b""
        return self._packed(self._compressor.flush(zlib.Z_FULL_FLUSH))

    def end(self) -> bytes:
        """Close the open file."""
        entry = self._opened()
        out = self._packed(self._compressor.flush(zlib.Z_FINISH))
        out += self._out(struct.pack("<4sLQQ", b"PK\7\x08", entry.crc, entry.packed, entry.size))
        record = _central(entry)
        self.directory += record
        self.position.directory += len(record)
        self.position.entries += 1
        self.position.entry = None
        return out

    def close(self) -> bytes:
        """What stands behind the central directory, which the caller writes at `position`."""
        start, size, count = self.position.offset, self.position.directory, self.position.entries
        end64 = struct.pack(
            "<4sQ2H2L4Q", b"PK\6\6", 44, _UNIX | _VERSION, _VERSION, 0, 0, count, count, size, start
        )
        locator = struct.pack("<4sLQL", b"PK\6\7", 0, start + size, 1)
        end = struct.pack(
            "<4s4H2LH", b"PK\5\6", 0, 0, min(count, 0xFFFF), min(count, 0xFFFF),
            min(size, _FULL), min(start, _FULL), 0,
        )  # fmt: skip
        return end64 + locator + end

    def _opened(self) -> OpenEntry:
        if self.position.entry is None:
            raise ValueError("no entry is open")
        return self.position.entry

    def _packed(self, data: bytes) -> bytes:
        self._opened().packed += len(data)
        return self._out(data)

    def _out(self, data: bytes) -> bytes:
        self.position.offset += len(data)
        return data


def _central(entry: OpenEntry) -> bytes:
    name = entry.name.encode()
    extra = struct.pack("<HHQQQ", 1, 24, entry.size, entry.packed, entry.at)
    extra += _stamp(entry.modified)
    kind = _DIRECTORY if entry.name.endswith("/") else _REGULAR
    return struct.pack(
        "<4s6H3L5H2L", b"PK\1\2", _UNIX | _VERSION, _VERSION, _FLAGS, _DEFLATED,
        *_dos(entry.modified), entry.crc, _FULL, _FULL, len(name), len(extra), 0, 0, 0, kind, _FULL,
    ) + name + extra  # fmt: skip


def _dos(seconds: int) -> tuple[int, int]:
    """Time and date of the last century's file systems, in UTC; they begin in 1980."""
    at = datetime.fromtimestamp(max(seconds, 315_532_800), UTC)
    day = (at.year - 1980) << 9 | at.month << 5 | at.day
    return at.hour << 11 | at.minute << 5 | at.second // 2, day


def _stamp(seconds: int) -> bytes:
    """The extended timestamp: exact, in UTC."""
    return struct.pack("<HHBl", 0x5455, 5, 1, seconds) if seconds else b""
