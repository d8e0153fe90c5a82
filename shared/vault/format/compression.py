"""zstd frames with a bounded result; compressors and decompressor of a thread are used again."""

import threading

import zstandard

from shared.vault.format.errors import Damaged

MAX_PLAIN = 64 << 20
# The search of level 3 with tables of 128 and 64 KiB in place of up to 512 and 256: they stay in
# the nearer caches, which takes a tenth to a sixth of the time off; what is stored differs by less
# than 0.3 %. As level 3 does, inputs of middle size look for matches of five bytes, others of four.
_HASH_LOG, _CHAIN_LOG, _WINDOW_LOG = 15, 14, 22
_MIDDLE = range((16 << 10) + 1, (128 << 10) + 1)
_local = threading.local()


def compress(data: bytes | bytearray | memoryview) -> bytes:
    """One zstd frame with its content size in the frame header."""
    min_match = 5 if len(data) in _MIDDLE else 4
    held: dict[int, zstandard.ZstdCompressor] | None = getattr(_local, "compressors", None)
    if held is None:
        held = _local.compressors = {}
    compressor = held.get(min_match)
    if compressor is None:
        compressor = held[min_match] = _compressor(min_match)
    return compressor.compress(data)


def _compressor(min_match: int) -> zstandard.ZstdCompressor:
    chosen = zstandard.ZstdCompressionParameters(
        strategy=zstandard.STRATEGY_DFAST,
        window_log=_WINDOW_LOG,
        hash_log=_HASH_LOG,
        chain_log=_CHAIN_LOG,
        search_log=1,
        min_match=min_match,
    )
    return zstandard.ZstdCompressor(compression_params=chosen)


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
