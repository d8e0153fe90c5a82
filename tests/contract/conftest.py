"""Real Azurite for the suites that talk to tables and blobs."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from azure.data.tables.aio import TableServiceClient

from local.azurite import Azurite
from shared.kit.ids import new_id
from shared.kit.tables import Table


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    """A storage emulator that lives as long as the test session."""
    emulator = Azurite(log=tmp_path_factory.mktemp("azurite") / "azurite.log")
    yield emulator
    emulator.stop()


@pytest.fixture
async def table_service(azurite: Azurite) -> AsyncIterator[TableServiceClient]:
    """A client of the running table service."""
    async with TableServiceClient.from_connection_string(azurite.connection) as service:
        yield service


@pytest.fixture
def make_table(table_service: TableServiceClient) -> Callable[[], Awaitable[Table]]:
    """Makes an empty table with a name of its own."""

    async def make() -> Table:
        return Table(await table_service.create_table(f"t{new_id()}"))

    return make
