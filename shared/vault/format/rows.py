"""Rows: item JSON, TAB, location JSON, LF; and what a leaf needs from them (section 9.1)."""

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from shared.vault.format import tree
from shared.vault.format.errors import Damaged
from shared.vault.format.names import text_bytes
from shared.vault.format.primitives import b64u, unb64u

MAX_LOCATIONS = 64
MAX_LISTED = 16_384
NO_CONTENT = bytes(32)
MAX_INTEGER = 1 << 53

Line = tuple[bytes, bytes]
"""(item JSON, location JSON)"""


class Core(NamedTuple):
    """The members the index itself looks at."""

    i: str
    v: str = ""
    s: int = 0
    d: str | None = None
    k: str = ""
    p: str | None = None
    e: str | None = None
    gone: bool = False


def _decode_core(item: bytes) -> Core:
    found = decode_item(item)
    return Core(
        found["i"],
        found.get("v", ""),
        found.get("s", 0),
        found.get("d"),
        found.get("k", ""),
        found.get("p"),
        found.get("e"),
        found.get("gone", False),
    )


class _Codec:
    """The one place where a faster JSON decoder may be put in (section 18)."""

    core: Callable[[bytes], Any] = staticmethod(_decode_core)


def use_core_decoder(decode: Callable[[bytes], Any]) -> None:
    """Swap in a faster decoder; it must give an object with the members of `Core`."""
    _Codec.core = staticmethod(decode)


def core(item: bytes) -> Core:
    """The members the index looks at, of one item JSON."""
    try:
        return _Codec.core(item)  # type: ignore[no-any-return]
    except (ValueError, KeyError, TypeError) as wrong:
        raise Damaged("a row is not item JSON") from wrong


def decode_item(item: bytes) -> dict[str, Any]:
    """Item JSON as a dict."""
    try:
        found = json.loads(item)
    except ValueError as wrong:
        raise Damaged("a row is not item JSON") from wrong
    if not isinstance(found, dict) or not isinstance(found.get("i"), str):
        raise Damaged("a row is not item JSON")
    return found


def encode_item(item: dict[str, Any]) -> bytes:
    """Compact JSON; ValueError for floats and integers of 2^53 and more (V25)."""
    check_numbers(item)
    try:
        return json.dumps(item, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:  # lone surrogates stay as escapes
        return json.dumps(item, separators=(",", ":")).encode()


def check_numbers(value: Any) -> None:
    """V25: no floating-point numbers, integers below 2^53."""
    if isinstance(value, str) or value is None:
        return
    if isinstance(value, dict):
        for inner in value.values():
            check_numbers(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            check_numbers(inner)
    elif isinstance(value, float) or (isinstance(value, int) and abs(value) >= MAX_INTEGER):
        raise ValueError("item JSON holds no floating-point numbers and no integers from 2^53 on")


def tombstone(source_id: str) -> bytes:
    """Item JSON of a deleted item; its location is `[]`."""
    return encode_item({"i": source_id, "gone": True})


def lines(plain: bytes) -> Iterator[Line]:
    """The rows of a bucket."""
    if not plain:
        return
    if plain[-1:] != b"\n":
        raise Damaged("a bucket does not end with a line end")
    for line in plain[:-1].split(b"\n"):
        item, tab, location = line.partition(b"\t")
        if not tab:
            raise Damaged("a row without location")
        yield item, location


def join_lines(rows: list[Line]) -> bytes:
    """The inverse of `lines`."""
    return b"".join([b"%b\t%b\n" % row for row in rows])


def key_of(oid16: bytes, source_id: str) -> bytes:
    """The item key of a source id."""
    return tree.item_key(oid16, text_bytes(source_id))


def leaf_of(k_leaf: bytes, key: bytes, found: Core, item: bytes) -> bytes:
    """The leaf of a row."""
    return tree.leaf(key, body_of(k_leaf, key, found, item))


def body_of(k_leaf: bytes, key: bytes, found: Core, item: bytes) -> bytes:
    """The body of a row's leaf."""
    digest = NO_CONTENT if found.d is None else unb64u(found.d)
    return tree.body(k_leaf, key, text_bytes(found.v), found.s, digest, item)


class Place(NamedTuple):
    """One chunk of an item: where it stands and how to open it; `pack` is a table index."""

    pack: int
    offset: int
    length: int
    codec: int
    plain: int
    digest: bytes
    transform: int = 0


class Location(NamedTuple):
    """A parsed location: places of chunks, or of list chunks and the packs those reach."""

    places: list[Place]
    listed: bool = False
    reach: tuple[int, ...] = ()


def parse_location(location: bytes, size: int, digest: str | None) -> Location:
    """A location; the short form takes its length and digest from the row's `s` and `d`."""
    try:
        found = json.loads(location)
        if isinstance(found, dict):
            return Location(
                [_place(p, 0, None) for p in found["l"]], True, tuple(found.get("p", ()))
            )
        return Location([_place(p, size, digest) for p in found])
    except (ValueError, KeyError, TypeError, IndexError) as wrong:
        raise Damaged("a location that cannot be read") from wrong


def _place(found: list[Any], size: int, digest: str | None) -> Place:
    if len(found) == 4:
        pack, offset, length, codec = found
        return Place(pack, offset, length, codec, size, unb64u(digest or ""))
    pack, offset, length, codec, plain, coded, *transform = found
    return Place(pack, offset, length, codec, plain, unb64u(coded), *transform)


def encode_location(location: Location, short: bool) -> bytes:
    """Location JSON; `short` when the one chunk is the whole content."""
    coded = [
        [p.pack, p.offset, p.length, p.codec] if short else place_members(p)
        for p in location.places
    ]
    if location.listed:
        return _dump({"l": coded, "p": sorted(location.reach)})
    return _dump(coded)


def remap(location: bytes, to: Callable[[int], int]) -> bytes:
    """The same location with every pack index replaced: into another segment's pack table."""
    if location == b"[]":
        return location
    if location.startswith(b"[[") and location.count(b"[") == 2:  # nearly every row
        index, comma, rest = location[2:].partition(b",")
        return b"[[%d%b%b" % (to(int(index)), comma, rest)
    try:
        found = json.loads(location)
        places = found["l"] if isinstance(found, dict) else found
        for place in places:
            place[0] = to(place[0])
        if isinstance(found, dict):
            found["p"] = sorted({to(index) for index in found["p"]})
    except (ValueError, KeyError, TypeError, IndexError) as wrong:
        raise Damaged("a location that cannot be read") from wrong
    return _dump(found)


def list_chunk(packs: list[str], places: list[Place]) -> bytes:
    """Plaintext of a list chunk; `pack` of its places is an index into `packs`."""
    return _dump({"packs": packs, "c": [place_members(place) for place in places]})


def place_members(place: Place) -> list[Any]:
    """A place in its long form."""
    coded = [place.pack, place.offset, place.length, place.codec, place.plain, b64u(place.digest)]
    return [*coded, place.transform] if place.transform else coded


def place_of(members: list[Any]) -> Place:
    """The inverse of `place_members`."""
    return _place(members, 0, None)


def read_list_chunk(plain: bytes) -> tuple[list[str], list[Place]]:
    """The inverse of `list_chunk`."""
    try:
        found = json.loads(plain)
        return found["packs"], [_place(place, 0, None) for place in found["c"]]
    except (ValueError, KeyError, TypeError, IndexError) as wrong:
        raise Damaged("a list chunk that cannot be read") from wrong


def _dump(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
