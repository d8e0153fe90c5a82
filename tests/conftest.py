"""One running system for all end-to-end tests; each test module takes tenants of its own."""

from collections import Counter
from collections.abc import Iterator

import pytest

from local.stack import Stack
from tests.e2e.scene import Customer, Partner, Scene, TwoPartners

WORLD = (
    *("--tenants", "15", "--users", "3", "--mails", "12", "--files", "10", "--seed", "11"),
    *("--mail-mean", "6000", "--file-mean", "9000"),
)
QUICK = {"HOLDFAST_CONSENT_POLL_SECONDS": "0.3"}
"""A look at a fresh consent every second instead of every ten."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every item has an id of its own: of those that share one, xdist runs the first alone.

    Schemathesis names its items after routes, pytest 9.2 makes their ids without the route.
    """
    for item in items:
        params = item.name.partition("[")[2].removesuffix("]")
        if params and item.id.params is None:
            item._id = item.id.with_params(params)
    repeated = [each for each, count in Counter(item.nodeid for item in items).items() if count > 1]
    if repeated:
        raise pytest.UsageError(f"items that share an id would not all run: {repeated[:5]}")


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Azurite, the simulated Microsoft 365 and the local host with the app."""
    stack = Stack(tmp_path_factory.mktemp("stack"), world=WORLD, settings=QUICK, marketplace=True)
    stack.registrations = TwoPartners()
    with stack:
        running = Scene.on(stack)
        yield running
        running.close()


@pytest.fixture(scope="module")
def customer(scene: Scene) -> Customer:
    """The module's own customer, onboarded and allowed to restore, not backed up yet."""
    found = scene.onboarded()
    scene.let_restore(found)
    return found


@pytest.fixture
def calm(scene: Scene) -> Iterator[None]:
    """Faults and limits of a test end with it."""
    scene.cloud.calm()
    yield
    scene.cloud.calm()


@pytest.fixture(scope="session")
def second_partner(scene: Scene) -> Iterator[Partner]:
    """Another partner's daemon, registered like the first."""
    mine = scene.registrations

    async def register(deps: object) -> None:
        from shared.access.service import register_partner

        await register_partner(deps, mine.second_tenant_id, "Second partner", [mine.second])

    scene.with_storage(register)
    token = scene.cloud.token(
        mine.second_tenant_id, mine.second, mine.partner_secret, f"{mine.api}/.default"
    )
    partner = Partner(scene.stack.urls.api, token)
    yield partner
    partner.close()
