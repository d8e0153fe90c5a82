"""The table layer against Azurite: values, ETags, ranges, filters, batches."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest

from local.azurite import Azurite
from shared.kit.config import Settings
from shared.kit.storage import Storage
from shared.kit.tables import (
    NAMES,
    SPILL_BYTES,
    LostRace,
    Row,
    RowExists,
    RowMissing,
    Table,
    Tables,
    ValueTooLarge,
)

Make = Callable[[], Awaitable[Table]]


@pytest.fixture
async def table(make_table: Make) -> Table:
    return await make_table()


async def keys(rows: AsyncIterator[Row]) -> list[str]:
    return [row.key async for row in rows]


async def test_every_kind_of_value_comes_back(table: Table) -> None:
    values = {
        "text": "é ✓",
        "empty": "",
        "small": 7,
        "large": 2**40,
        "negative": -(2**40),
        "flag": False,
        "share": 0.5,
        "at": datetime(2026, 1, 1, 12, tzinfo=UTC),
        "map": {"a": [1, {"b": None}]},
        "list": [],
    }
    await table.insert(Row("p", "k", dict(values)))
    found = await table.get("p", "k")
    assert found.values == values
    assert isinstance(found.values["flag"], bool)
    assert found.changed_at is not None


async def test_none_is_left_out(table: Table) -> None:
    await table.insert(Row("p", "k", {"a": None, "b": 1}))
    assert (await table.get("p", "k")).values == {"b": 1}


async def test_times_come_back_in_utc(table: Table) -> None:
    at = datetime(2026, 1, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    await table.insert(Row("p", "k", {"at": at}))
    assert (await table.get("p", "k")).values["at"] == at


async def test_a_large_value_is_refused(table: Table) -> None:
    with pytest.raises(ValueTooLarge):
        await table.insert(Row("p", "k", {"a": "x" * (SPILL_BYTES + 1)}))
    assert await table.find("p", "k") is None


async def test_insert_keeps_the_first(table: Table) -> None:
    await table.insert(Row("p", "k", {"a": 1}))
    with pytest.raises(RowExists):
        await table.insert(Row("p", "k", {"a": 2}))
    assert (await table.get("p", "k")).values == {"a": 1}


async def test_a_missing_row(table: Table) -> None:
    assert await table.find("p", "no") is None
    with pytest.raises(RowMissing):
        await table.get("p", "no")
    await table.delete("p", "no")


async def test_replace_needs_the_current_etag_and_drops_old_values(table: Table) -> None:
    first = await table.insert(Row("p", "k", {"a": 1, "b": 2}))
    assert first.etag == (await table.get("p", "k")).etag
    second = await table.replace(Row("p", "k", {"a": 3}, first.etag))
    assert (await table.get("p", "k")).values == {"a": 3}
    with pytest.raises(LostRace):
        await table.replace(Row("p", "k", {"a": 4}, "W/\"datetime'2020-01-01T00%3A00%3A00Z'\""))
    await table.replace(Row("p", "k", {"a": 5}, second.etag))


async def test_replace_of_a_missing_row_is_a_lost_race(table: Table) -> None:
    row = await table.insert(Row("p", "k", {}))
    await table.delete("p", "k")
    with pytest.raises(LostRace):
        await table.replace(row)


async def test_of_two_writers_one_loses(table: Table) -> None:
    start = await table.insert(Row("p", "k", {"a": 0}))

    async def write(number: int) -> bool:
        try:
            await table.replace(Row("p", "k", {"a": number}, start.etag))
        except LostRace:
            return False
        return True

    assert sorted(await asyncio.gather(write(1), write(2))) == [False, True]


async def test_upsert_writes_whatever_was_there(table: Table) -> None:
    await table.upsert(Row("p", "k", {"a": 1}))
    await table.upsert(Row("p", "k", {"b": 2}))
    assert (await table.get("p", "k")).values == {"b": 2}


@pytest.fixture
async def filled(table: Table) -> Table:
    for key in ("a~1", "a~2", "a~3", "b~1", "b~2"):
        await table.insert(Row("p", key, {"n": int(key[-1]), "name": f"O'Neil {key}"}))
    await table.insert(Row("other", "a~1", {"n": 1}))
    return table


async def test_query_stays_in_its_partition_in_key_order(filled: Table) -> None:
    assert await keys(filled.query("p")) == ["a~1", "a~2", "a~3", "b~1", "b~2"]


async def test_query_ranges(filled: Table) -> None:
    assert await keys(filled.query("p", prefix="a~")) == ["a~1", "a~2", "a~3"]
    assert await keys(filled.query("p", prefix="a~", after="a~1")) == ["a~2", "a~3"]
    assert await keys(filled.query("p", after="a~3")) == ["b~1", "b~2"]
    assert await keys(filled.query("p", below="a~3")) == ["a~1", "a~2"]
    assert await keys(filled.query("p", after="a~1", limit=2)) == ["a~2", "a~3"]


async def test_a_value_in_a_filter_is_never_text(filled: Table) -> None:
    nasty = "O'Neil a~1' or PartitionKey ne 'x"
    rows = filled.query("p", where="name eq @name", parameters={"name": nasty})
    assert await keys(rows) == []
    rows = filled.query("p", where="name eq @name", parameters={"name": "O'Neil a~1"})
    assert await keys(rows) == ["a~1"]


async def test_an_or_in_a_filter_does_not_leave_the_partition(filled: Table) -> None:
    rows = filled.query("p", where="n eq @a or n eq @b", parameters={"a": 1, "b": 2}, prefix="a~")
    assert await keys(rows) == ["a~1", "a~2"]


async def test_a_batch_commits_together_or_not_at_all(table: Table) -> None:
    old = await table.insert(Row("p", "old", {"a": 1}))
    await table.batch(
        [("insert", Row("p", "new", {"a": 1})), ("replace", Row("p", "old", {"a": 2}, old.etag))]
    )
    assert (await table.get("p", "old")).values == {"a": 2}
    with pytest.raises(LostRace):
        await table.batch([("upsert", Row("p", "x", {})), ("insert", Row("p", "new", {}))])
    assert await table.find("p", "x") is None
    with pytest.raises(LostRace):
        await table.batch([("delete", Row("p", "new")), ("replace", Row("p", "old", {}, old.etag))])
    assert await table.find("p", "new") is not None


async def test_all_tables_are_made_once_and_again(azurite: Azurite) -> None:
    storage = Storage(Settings(storage_connection=azurite.connection))  # type: ignore[arg-type]
    try:
        tables: Tables = storage.tables
        for _ in range(2):
            await tables.create_all()
        assert await tables[NAMES[0]].find("p", "k") is None
        with pytest.raises(KeyError):
            tables["Nowhere"]
    finally:
        await storage.close()
