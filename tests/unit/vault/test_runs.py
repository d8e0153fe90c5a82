"""Runs end to end on blobs in memory: content of every size and name comes back."""

import os

import pytest

from shared.vault.format.content import content_hash
from shared.vault.run import Run
from shared.vault.slices import Slice
from tests.unit.vault.world import (
    MAILBOX,
    World,
    backup,
    contents,
    mail,
    putting,
    seal,
    stream,
)

HOSTILE = [
    "tab\there", "line\nend\r\n", "nul\x00", "quote\"back\\slash", "../../etc/passwd", "a/b?c#d%",
    "💾 naïve Ω", "\u202egpj.exe", "lone \ud800 surrogate", "", " ", "x" * 5000, "\u2028\u2029",
]  # fmt: skip


async def test_round_trip_of_sizes_and_streams() -> None:
    vault = await World().create()
    sizes = [0, 1, 100, 131_073, 1 << 20, (1 << 20) + 1, 5_000_000]
    data: dict[str, bytes | None] = {f"s{size}": os.urandom(size) for size in sizes}
    text = b"the same words again and again. " * 400_000

    async def streams(run: Run, part: Slice) -> None:
        await part.put(mail("text"), stream(text))
        for source_id, value in data.items():
            await part.put(mail("stream-" + source_id), stream(value or b""))

    head = await backup(vault, MAILBOX, "r1", putting(data), streams)
    found = await contents(vault, MAILBOX)
    assert found == data | {"stream-" + i: v for i, v in data.items()} | {"text": text}
    assert head.bytes["read"] == 2 * sum(sizes) + len(text)
    # The second copy was stored once more because it came in another slice; text shrinks.
    assert head.bytes["stored"] < 2 * sum(sizes) + 2_000_000


async def test_sparse_content_of_several_pieces() -> None:
    vault = await World().create()
    size = (64 << 20) * 2 + 12_345

    async def zeros():
        left = size
        while left:
            now = min(left, 3_000_000)
            yield bytes(now)
            left -= now

    async def work(run: Run, part: Slice) -> None:
        await part.put(mail("huge"), zeros())

    await backup(vault, MAILBOX, "r1", work)
    snap = await vault.open_snapshot(MAILBOX)
    row = await snap.row("huge")
    assert row is not None
    assert row.size == size
    assert row.digest == content_hash(bytes(size))
    total = 0
    async for data in snap.content(row):
        assert not any(data[::65_537])
        total += len(data)
    assert total == size


async def test_more_than_64_chunks_go_into_list_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.vault.contents.MAX_LOCATIONS", 4)
    monkeypatch.setattr("shared.vault.contents.MAX_LISTED", 3)
    vault = await World().create()
    data = os.urandom(9 << 20)

    async def work(run: Run, part: Slice) -> None:
        await part.put(mail("large"), data)

    head = await backup(vault, MAILBOX, "r1", work)
    assert await contents(vault, MAILBOX) == {"large": data}
    snap = await vault.open_snapshot(MAILBOX)
    row = await snap.row("large")
    assert row is not None
    assert row.location.startswith(b'{"l":')
    # V29: the table names the packs that only list chunks reach.
    assert head.document["base"][0]["packs"][1] == len(set(row.packs)) >= 2

    changed = data[: 5 << 20] + b"!" + data[5 << 20 :]

    async def again(run: Run, part: Slice) -> None:
        await part.put(mail("large", "2"), changed)

    head = await backup(vault, MAILBOX, "r2", again)
    assert await contents(vault, MAILBOX) == {"large": changed}
    assert head.bytes["new"] < len(data) // 2  # chunks of the previous version are found again


async def test_hostile_names_come_back_exactly() -> None:
    vault = await World().create()

    async def work(run: Run, part: Slice) -> None:
        for number, text in enumerate(HOSTILE):
            await part.put(
                mail(f"id {number} {text}", n=text, m={"note": text}),
                text.encode("utf-8", "replace"),
            )

    await backup(vault, MAILBOX, "r1", work)
    snap = await vault.open_snapshot(MAILBOX)
    for number, text in enumerate(HOSTILE):
        row = await snap.row(f"id {number} {text}")
        assert row is not None
        assert row.name == text
        assert row.item["m"] == {"note": text}
    assert snap.head.items == len(HOSTILE)


async def test_v25_floats_are_refused_and_nothing_is_kept() -> None:
    vault = await World().create()
    run = await vault.open_run(MAILBOX, "r1")
    part = await run.slice(0)
    for wrong in (1.5, 1 << 53):
        with pytest.raises(ValueError, match="floating-point"):
            await part.put(mail("a", m={"x": [wrong]}), b"")
    await part.finish({}, more=False)
    assert (await seal(run)).items == 0
