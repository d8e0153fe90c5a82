"""zstd frames with a bounded result; one compressor and decompressor per thread, used again."""

import threading

import zstandard

from shared.vault.format.errors import Damaged

LEVEL = 3
MAX_PLAIN = 64 << 20
_local = threading.local()


def compress(data: bytes | bytearray | memoryview) -> bytes:
    """One zstd frame at level 3 with its content size in the frame header."""
    compressor = getattr(_local, "compressor", None)
    if compressor is None:
        compressor = _local.compressor = zstandard.ZstdCompressor(level=LEVEL)
    packed: bytes = compressor.compress(data)
    return packed


def decompress(
    data: bytes | memoryview, limit: int = MAX_PLAIN, *, dictionary: bytes | None = None
) -> bytes:
    """The content of one frame; `Damaged` when it is not zstd or claims more than `limit` bytes."""
    try:
        size = zstandard.frame_content_size(data)
        if size < 0 or size > limit:
            raise Damaged("a compressed frame names no size or one beyond its bound")
        return _decompressor(dictionary).decompress(data, max_output_size=limit)
    except zstandard.ZstdError as wrong:
        raise Damaged("not a zstd frame") from wrong


def _decompressor(dictionary: bytes | None) -> zstandard.ZstdDecompressor:
    if dictionary is not None:
        return zstandard.ZstdDecompressor(dict_data=zstandard.ZstdCompressionDict(dictionary))
    found = getattr(_local, "decompressor", None)
    if found is None:
        found = _local.decompressor = zstandard.ZstdDecompressor()
    return found
