"""Verified reading of content: ranges merged, every chunk and every whole checked (section 16)."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import NamedTuple

from shared.kit.blobs import BlobStore
from shared.vault.contents import THREAD_OVER
from shared.vault.errors import VaultDamaged, located
from shared.vault.format import names
from shared.vault.format.chunks import RAW, ZSTD, ChunkCipher, dictionary_of
from shared.vault.format.content import EMPTY, ContentHash, Transform
from shared.vault.format.errors import Damaged
from shared.vault.format.keys import ObjectKeys
from shared.vault.format.rows import Place, parse_location, read_list_chunk
from shared.vault.model import Row
from shared.vault.spans import Span, coalesce


class Located(NamedTuple):
    """A chunk and the pack it stands in."""

    pack: bytes
    place: Place


async def places_of(store: BlobStore, keys: ObjectKeys, row: Row) -> list[Located]:
    """Every chunk of a row's content in order; list chunks are read and opened."""
    with located(f"item {row.source_id}"):
        location = parse_location(row.location, row.size, row.item.get("d"))
        try:
            direct = [Located(row.packs[place.pack], place) for place in location.places]
        except (IndexError, KeyError):
            raise Damaged("a location names a pack beyond its table") from None
    if not location.listed:
        return direct
    found: list[Located] = []
    async for plain in chunks(store, keys, direct):
        with located(f"list chunk of item {row.source_id}"):
            packs, places = read_list_chunk(plain[1])
            try:
                found += [Located(bytes.fromhex(packs[p.pack]), p) for p in places]
            except (IndexError, ValueError):
                raise Damaged("a list chunk names a pack beyond its table") from None
    return found


async def content(store: BlobStore, keys: ObjectKeys, row: Row) -> AsyncIterator[bytes]:
    """The content in order. Every part is authenticated; a wrong whole raises at the end (V65)."""
    if not row.has_content:
        return
    whole, transform = ContentHash(), Transform()
    wanted = await places_of(store, keys, row)
    async for place, plain in chunks(store, keys, wanted):
        for data in transform.feed(place.transform, plain):
            whole.update(data)
            yield data
    for data in transform.finish():
        whole.update(data)
        yield data
    digest = whole.digest() if whole.length else EMPTY
    if whole.length != row.size or digest != row.digest:
        raise VaultDamaged(f"item {row.source_id}: content does not match its length and hash")


async def chunks(
    store: BlobStore, keys: ObjectKeys, wanted: Iterable[Located]
) -> AsyncIterator[tuple[Place, bytes]]:
    """Verified plaintext of chunks in the order given; neighbours in a pack are read together."""
    cipher = ChunkCipher(keys.chunk, keys.repo)
    for pack, places in _by_pack(wanted):
        name = names.pack(keys.oid, pack)
        spans = [Span(place.offset, place.length, at) for at, place in enumerate(places)]
        for offset, length, inside in coalesce(spans):
            with located(name):
                data = await store.get(name, offset, length)
            for span in inside:
                place = places[span.what]
                at = place.offset - offset
                entry = data[at : at + place.length]
                with located(f"{name} at {place.offset}"):
                    yield place, await _open(store, name, cipher, place, entry)


async def _open(
    store: BlobStore, name: str, cipher: ChunkCipher, place: Place, entry: bytes
) -> bytes:
    if place.codec not in (RAW, ZSTD):
        body = cipher.body(entry, place.digest, place.codec, place.plain)
        where, _ = dictionary_of(body)
        words = await store.get(name, where.offset, where.length)
        return cipher.open(entry, place.digest, place.codec, place.plain, lambda _: words)
    if place.plain < THREAD_OVER:
        return cipher.open(entry, place.digest, place.codec, place.plain)
    return await asyncio.to_thread(cipher.open, entry, place.digest, place.codec, place.plain)


def _by_pack(wanted: Iterable[Located]) -> Iterable[tuple[bytes, list[Place]]]:
    pack, group = b"", list[Place]()
    for found in wanted:
        if found.pack != pack and group:
            yield pack, group
            group = []
        pack = found.pack
        group.append(found.place)
    if group:
        yield pack, group
