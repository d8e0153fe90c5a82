"""quickXorHash, the content hash of OneDrive and SharePoint files."""

import base64

WIDTH = 160
SHIFT = 11
# Byte i lands at bit 11*i mod 160, so bytes 160 apart land on the same bits: whole
# 160-byte blocks can be XORed together before any shifting.
BLOCK = 160


class QuickXor:
    """Incremental quickXorHash; feed with `update`, read with `base64`."""

    def __init__(self) -> None:
        self._block = 0
        self._length = 0

    def update(self, data: bytes) -> None:
        """Add bytes at the end of what was hashed so far."""
        if not data:
            return
        lead = self._length % BLOCK
        self._length += len(data)
        self._block ^= _fold(bytes(lead) + data if lead else data)

    def digest(self) -> bytes:
        """Return the 20 bytes of the hash."""
        result = 0
        for index, byte in enumerate(self._block.to_bytes(BLOCK, "little")):
            position = index * SHIFT % WIDTH
            result ^= byte << position
        mask = (1 << WIDTH) - 1
        result = (result & mask) ^ (result >> WIDTH)
        return (result ^ (self._length << (WIDTH - 64))).to_bytes(WIDTH // 8, "little")

    def base64(self) -> str:
        """Return the hash as Graph writes it."""
        return base64.b64encode(self.digest()).decode()


def _fold(data: bytes) -> int:
    """XOR all 160-byte blocks of the data into one, little endian."""
    blocks = -(-len(data) // BLOCK)
    value = int.from_bytes(data, "little")
    while blocks > 1:
        half = (blocks + 1) // 2
        bits = half * BLOCK * 8
        value = (value >> bits) ^ (value & ((1 << bits) - 1))
        blocks = half
    return value


def quick_xor(data: bytes) -> str:
    """Hash bytes at once."""
    hasher = QuickXor()
    hasher.update(data)
    return hasher.base64()
