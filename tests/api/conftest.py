"""The API in process: real routes, real token checks, real tables in Azurite, a recorded client."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import pytest_asyncio

from functions import binding
from functions.api.app import build
from local.azurite import Azurite
from shared import bootstrap
from shared.access.service import register_partner
from shared.bootstrap import Deps, prepare
from shared.kit.config import Settings
from tests.api.licensing import Shop
from tests.api.world import World
from tests.api.world import build as build_world
from tests.entra import Entra

if TYPE_CHECKING:
    from tests.api.market import Market, Site

PARTNER_TENANT = "11111111-2222-3333-4444-555555555555"
OTHER_TENANT = "22222222-2222-3333-4444-555555555555"
API = "aaaaaaaa-2222-3333-4444-555555555555"
CUSTOMER_TENANT = "33333333-2222-3333-4444-555555555555"


class RecordedClient:
    """Stands where the task hub's client would be: notes what is started and signalled."""

    def __init__(self) -> None:
        self.started: dict[str, Any] = {}
        self.raised: list[tuple[str, str, Any]] = []

    async def schedule_new_orchestration(self, name: str, **given: Any) -> str:
        """Note a start."""
        self.started[given["instance_id"]] = (name, given["input"])
        return str(given["instance_id"])

    async def raise_orchestration_event(self, instance_id: str, name: str, *, data: Any) -> None:
        """Note an event."""
        self.raised.append((instance_id, name, data))


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    emulator = Azurite(log=tmp_path_factory.mktemp("azurite") / "azurite.log")
    yield emulator
    emulator.stop()


@pytest.fixture(scope="session")
def entra() -> Iterator[Entra]:
    with Entra() as server:
        yield server


@pytest.fixture
async def deps(
    azurite: Azurite, entra: Entra, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Deps]:
    """Collaborators of this test's event loop, over storage that the session shares."""
    given = await _opened(azurite, entra, tmp_path_factory)
    yield given
    await given.close()


async def _opened(azurite: Azurite, entra: Entra, tmp_path_factory: pytest.TempPathFactory) -> Deps:
    given = Deps(
        Settings(
            storage_connection=azurite.connection,  # type: ignore[arg-type]
            authority=entra.authority,
            api_client_id=API,
            reader_client_id="reader",
            restorer_client_id="restorer",
            public_url="http://holdfast.test",
            key_store=f"file:{tmp_path_factory.getbasetemp() / 'keys'}",
            rate_quota=1_000_000,
        )
    )
    bootstrap.use(given)
    await prepare(given)
    for tenant in (PARTNER_TENANT, OTHER_TENANT):
        await register_partner(given, tenant, f"Partner {tenant[0]}", ["client"])
    return given


@pytest.fixture
def durable() -> Iterator[RecordedClient]:
    client = RecordedClient()
    token = binding._client.set(client)  # type: ignore[arg-type]
    yield client
    binding._client.reset(token)


@pytest.fixture
async def anonymous(deps: Deps, durable: RecordedClient) -> AsyncIterator[httpx.AsyncClient]:
    """A caller without a token."""
    transport = httpx.ASGITransport(build(), raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://holdfast.test") as client:
        yield client


@pytest.fixture
def bearer(entra: Entra) -> Callable[..., dict[str, str]]:
    """The header of a token; keyword arguments change its claims."""

    def make(tenant: str = PARTNER_TENANT, **changed: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {entra.token(tenant, API, **changed)}"}

    return make


@pytest.fixture
def partner(
    anonymous: httpx.AsyncClient, bearer: Callable[..., dict[str, str]]
) -> httpx.AsyncClient:
    """The partner's daemon with the administrator's role."""
    anonymous.headers.update(bearer())
    return anonymous


@pytest.fixture
async def customer_id(partner: httpx.AsyncClient) -> str:
    """A fresh pending customer."""
    answer = await partner.post("/api/v1/customers", json={"displayName": "Contoso"})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


@pytest.fixture
async def two(deps: Deps, bearer: Callable[..., dict[str, str]]) -> World:
    """Two fresh partners, and everybody who signs in at one of them."""
    return await build_world(deps, bearer)


@pytest.fixture
async def shop(
    deps: Deps, anonymous: httpx.AsyncClient, bearer: Callable[..., dict[str, str]]
) -> Shop:
    """A partner with a customer whose licences are bought, given and taken."""
    return await Shop(deps, anonymous, bearer).open()


def check_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Assert that the answer is a problem document with this code; returns it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["code"] == code == answer.headers["X-Error-Code"]
    assert problem["status"] == status
    assert {"type", "title", "detail", "instance", "traceId"} <= problem.keys()
    return problem


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(
    azurite: Azurite, entra: Entra, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator["Site"]:
    """The simulated marketplace and the app behind sockets: once for a module and its one loop."""
    from tests.api.market import built

    given = await _opened(azurite, entra, tmp_path_factory)
    async with built(given) as found:
        yield found
    await given.close()


@pytest_asyncio.fixture(loop_scope="module")
async def market(site: "Site", bearer: Callable[..., dict[str, str]]) -> AsyncIterator["Market"]:
    """A partner and plans of its own; for modules with `asyncio(loop_scope="module")`."""
    from tests.api.market import Market

    site.clear()
    found = Market(site, bearer)
    yield await found.open()
    await found.api.aclose()
