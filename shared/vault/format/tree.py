"""The tree over item keys: leaf, root, joined bucket roots, inclusion, absence (section 12)."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from shared.vault.format.primitives import mac, sha

Pair = tuple[bytes, bytes]
Path = list[tuple[int, bytes]]
EMPTY_ROOT = sha(b"")


def item_key(oid16: bytes, source_id: bytes) -> bytes:
    """The 32 bytes rows and proofs are ordered by."""
    return sha(b"holdfast/1/item\0" + oid16 + source_id)


def body(k_leaf: bytes, key: bytes, version: bytes, size: int, digest: bytes, item: bytes) -> bytes:
    """What a leaf commits to; `digest` is 32 zero bytes for a row without content."""
    salt = mac(k_leaf, key + version)
    return open_body(salt, version, size, digest, mac(salt, item))


def open_body(salt: bytes, version: bytes, size: int, digest: bytes, meta: bytes) -> bytes:
    """The body from what a proof discloses."""
    head = b"\x02" + salt + len(version).to_bytes(4) + version
    return sha(head + size.to_bytes(8) + digest + meta)


def leaf(key: bytes, body_: bytes) -> bytes:
    """A leaf."""
    return sha(b"\x00" + key + body_)


def bit(key: bytes, depth: int) -> int:
    """Bit `depth` of a key, counted from the most significant."""
    return key[depth >> 3] >> (7 - (depth & 7)) & 1


def node(depth: int, left: bytes, right: bytes) -> bytes:
    """An inner node."""
    return sha(b"\x01" + bytes([depth]) + left + right)


def split_depth(first: bytes, last: bytes) -> int:
    """The first bit in which two different keys differ."""
    return 256 - (int.from_bytes(first) ^ int.from_bytes(last)).bit_length()


def root(pairs: Iterable[Pair]) -> bytes:
    """Root over (key, leaf) sorted by key, keys distinct; one pass, a stack of 256 (V41)."""
    stack: list[tuple[int, bytes]] = []
    before: bytes | None = None
    for key, hashed in pairs:
        at = -1
        if before is not None:
            at = split_depth(before, key)
            while len(stack) > 1 and stack[-1][0] > at:
                _fold(stack)
        stack.append((at, hashed))
        before = key
    while len(stack) > 1:
        _fold(stack)
    return stack[0][1] if stack else EMPTY_ROOT


def _fold(stack: list[tuple[int, bytes]]) -> None:
    depth, right = stack.pop()
    stack[-1] = (stack[-1][0], node(depth, stack[-1][1], right))


def join(roots: Sequence[bytes], depth: int | None = None) -> bytes:
    """Root of 2^k bucket roots; an empty bucket is given as SHA("") (V42).

    `depth` is that of the lowest nodes: p - 1 when the roots are a slice of 2^p, k - 1 by itself.
    """
    level = list(roots)
    depth = len(level).bit_length() - 2 if depth is None else depth
    while len(level) > 1:
        level = [_join_two(depth, level[at], level[at + 1]) for at in range(0, len(level), 2)]
        depth -= 1
    return level[0]


def _join_two(depth: int, left: bytes, right: bytes) -> bytes:
    if left == EMPTY_ROOT:
        return right
    return left if right == EMPTY_ROOT else node(depth, left, right)


def bucket_path(roots: Sequence[bytes], key: bytes) -> tuple[int | None, Path]:
    """Where the search for a key ends among buckets, and the siblings passed, top down."""
    path: Path = []
    low, high, depth = 0, len(roots), 0
    lowest = len(roots).bit_length() - 2
    while high - low > 1:
        middle = (low + high) // 2
        left, right = join(roots[low:middle], lowest), join(roots[middle:high], lowest)
        if left != EMPTY_ROOT and right != EMPTY_ROOT:
            went_right = bit(key, depth) == 1
            path.append((depth, left if went_right else right))
        else:
            went_right = left == EMPTY_ROOT
        low, high = (middle, high) if went_right else (low, middle)
        depth += 1
    return (None if roots[low] == EMPTY_ROOT else low), path


def leaf_path(pairs: Sequence[Pair], key: bytes) -> tuple[bytes, Path]:
    """The key of the leaf where the search ends inside one bucket, and the siblings, top down."""
    path: Path = []
    low, high = 0, len(pairs)
    while high - low > 1:
        depth = split_depth(pairs[low][0], pairs[high - 1][0])
        middle = _first_with_bit(pairs, low, high, depth)
        if bit(key, depth):
            path.append((depth, root(pairs[low:middle])))
            low = middle
        else:
            path.append((depth, root(pairs[middle:high])))
            high = middle
    return pairs[low][0], path


def leaf_paths(pairs: Sequence[Pair]) -> dict[bytes, Path]:
    """Siblings of every leaf of one bucket, from the leaf up: all at once, for many proofs."""
    paths: dict[bytes, Path] = {key: [] for key, _ in pairs}

    def walk(low: int, high: int) -> bytes:
        if high - low == 1:
            return pairs[low][1]
        depth = split_depth(pairs[low][0], pairs[high - 1][0])
        middle = _first_with_bit(pairs, low, high, depth)
        left, right = walk(low, middle), walk(middle, high)
        for at in range(low, high):
            paths[pairs[at][0]].append((depth, right if at < middle else left))
        return node(depth, left, right)

    if pairs:
        walk(0, len(pairs))
    return paths


def _first_with_bit(pairs: Sequence[Pair], low: int, high: int, depth: int) -> int:
    return bisect_left(pairs, 1, low, high, key=lambda pair: bit(pair[0], depth))


def climb(key: bytes, body_: bytes, path: Path) -> bytes:
    """The root a leaf and its path (leaf to root) lead to; ValueError when depths do not fall."""
    hashed, last = leaf(key, body_), 256
    for depth, sibling in path:
        if not 0 <= depth < last:
            raise ValueError("path is not ordered")
        pair = (sibling, hashed) if bit(key, depth) else (hashed, sibling)
        hashed, last = node(depth, *pair), depth
    return hashed


def included(root_: bytes, key: bytes, body_: bytes, path: Path) -> bool:
    """Whether the leaf is in the tree with this root (V43)."""
    return climb(key, body_, path) == root_


def absent(root_: bytes, key: bytes, other_key: bytes, other_body: bytes, path: Path) -> bool:
    """Whether `key` is not in the tree: the search for it ends at another leaf."""
    return (
        key != other_key
        and all(bit(key, depth) == bit(other_key, depth) for depth, _ in path)
        and climb(other_key, other_body, path) == root_
    )


def session_root(record_hashes: Sequence[bytes]) -> bytes:
    """RFC 6962 root over record hashes already ordered by oid and n (section 12.4)."""
    level = [sha(b"\x00" + hashed) for hashed in record_hashes]
    return _list_root(level) if level else EMPTY_ROOT


def _list_root(level: list[bytes]) -> bytes:
    if len(level) == 1:
        return level[0]
    split = 1 << ((len(level) - 1).bit_length() - 1)
    return sha(b"\x01" + _list_root(level[:split]) + _list_root(level[split:]))
