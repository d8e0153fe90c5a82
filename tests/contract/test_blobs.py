"""The blob port: one suite over memory and Azurite (contract: shared/kit/blobs.py)."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from local.azurite import Azurite
from shared.kit.blobs import BlobExists, BlobMissing, BlobStore, MemoryBlobs, StagedBlobs
from shared.kit.config import Settings
from shared.kit.ids import new_id
from shared.kit.storage import Storage


@pytest.fixture(params=["memory", "azurite"])
async def blobs(request: pytest.FixtureRequest, azurite: Azurite) -> AsyncIterator[BlobStore]:
    if request.param == "memory":
        yield MemoryBlobs()
        return
    storage = Storage(Settings(storage_connection=azurite.connection))  # type: ignore[arg-type]
    yield await storage.container(f"c{new_id()}", create=True)
    await storage.close()


async def test_what_is_put_is_got(blobs: BlobStore) -> None:
    await blobs.put("a/b", b"0123456789")
    assert await blobs.get("a/b") == b"0123456789"
    assert await blobs.size("a/b") == 10


@pytest.mark.parametrize(
    ("offset", "length", "part"),
    [
        (3, 4, b"3456"),
        (8, 10, b"89"),
        (0, 1, b"0"),
        (-3, None, b"789"),
        (-30, None, b"0123456789"),
        (-3, 2, b"78"),
        (10, 5, b""),
        (99, 5, b""),
        (4, 0, b""),
        (4, None, b"456789"),
    ],
)
async def test_ranges(blobs: BlobStore, offset: int, length: int | None, part: bytes) -> None:
    await blobs.put("a", b"0123456789")
    assert await blobs.get("a", offset, length) == part


async def test_an_empty_blob(blobs: BlobStore) -> None:
    await blobs.put("empty", b"")
    assert await blobs.get("empty") == b""
    assert await blobs.size("empty") == 0


async def test_create_only_keeps_the_first(blobs: BlobStore) -> None:
    await blobs.put("a", b"first")
    with pytest.raises(BlobExists):
        await blobs.put("a", b"second")
    assert await blobs.get("a") == b"first"
    await blobs.put("a", b"third", create_only=False)
    assert await blobs.get("a") == b"third"


async def test_of_several_writers_exactly_one_succeeds(blobs: BlobStore) -> None:
    async def write(number: int) -> int | None:
        try:
            await blobs.put("race", str(number).encode())
        except BlobExists:
            return None
        return number

    won = [one for one in await asyncio.gather(*map(write, range(8))) if one is not None]
    assert len(won) == 1
    assert await blobs.get("race") == str(won[0]).encode()


async def test_missing_blobs(blobs: BlobStore) -> None:
    for read in (blobs.get("no"), blobs.get("no", -5), blobs.size("no")):
        with pytest.raises(BlobMissing):
            await read
    await blobs.delete("no")


async def test_delete_may_be_repeated(blobs: BlobStore) -> None:
    await blobs.put("a", b"x")
    await blobs.delete("a")
    await blobs.delete("a")
    with pytest.raises(BlobMissing):
        await blobs.get("a")


async def test_listing_is_ascending_and_by_prefix(blobs: BlobStore) -> None:
    for name in ("b/2", "a/1", "b/1", "b/10", "c"):
        await blobs.put(name, name.encode())
    listed = [blob async for blob in blobs.list("b/")]
    assert [blob.name for blob in listed] == ["b/1", "b/10", "b/2"]
    assert [blob.size for blob in listed] == [3, 4, 3]
    assert all(datetime.now(UTC) - blob.created < timedelta(hours=1) for blob in listed)
    assert [blob.name async for blob in blobs.list()] == ["a/1", "b/1", "b/10", "b/2", "c"]


async def test_a_blob_is_made_of_staged_blocks(blobs: StagedBlobs) -> None:
    await blobs.stage("a", "block-1", b"one")
    await blobs.stage("a", "block-2", b"lost")
    await blobs.stage("a", "block-2", b"two")
    with pytest.raises(BlobMissing):
        await blobs.get("a")
    await blobs.commit("a", ["block-1", "block-2"])
    assert await blobs.get("a") == b"onetwo"
    await blobs.stage("a", "block-3", b"three")
    await blobs.commit("a", ["block-2", "block-3"])  # committed and staged ones, in any order
    assert await blobs.get("a") == b"twothree"
    with pytest.raises(KeyError):
        await blobs.commit("a", ["block-9"])
    assert await blobs.get("a") == b"twothree"
    await blobs.commit("a", [])
    assert await blobs.get("a") == b""
