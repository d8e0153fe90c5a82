"""Whatever the description allows, and more, thrown at the API: no 5xx, nothing undocumented.

The app runs under a real HTTP server on real tables, so that its loop and connections live as
long as the module; half of the ids are those of things that are there.
"""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from functions import binding
from functions.api.app import build
from local.azurite import Azurite
from shared import bootstrap
from shared.access.service import register_partner
from shared.bootstrap import Deps, prepare
from shared.kit.config import Settings
from tests.api.conftest import API, PARTNER_TENANT, RecordedClient
from tests.entra import Entra

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 4
DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.json"
schema = schemathesis.openapi.from_path(DOCUMENT)
# The phase "coverage" alone makes thousands of calls: too long for every run of the tests.
schema.config.phases.update(phases=["examples", "fuzzing"])


@pytest.fixture(scope="module")
def server(
    azurite: Azurite, entra: Entra, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The app on the loopback; ends with the module."""
    configuration = Settings(
        storage_connection=azurite.connection,  # type: ignore[arg-type]
        authority=entra.authority,
        graph=entra.authority,
        api_client_id=API,
        reader_client_id="reader",
        restorer_client_id="restorer",
        key_store=f"file:{tmp_path_factory.mktemp('keys')}",
        rate_quota=1_000_000,
    )
    given: dict[str, Any] = {}

    async def serve() -> None:
        deps = Deps(configuration)
        bootstrap.use(deps)
        await prepare(deps)
        await register_partner(deps, PARTNER_TENANT, "Partner", ["client"])
        binding._client.set(RecordedClient())  # type: ignore[arg-type]
        config = uvicorn.Config(build(), port=0, log_level="warning", lifespan="off")
        given["server"] = uvicorn.Server(config)
        try:
            await given["server"].serve()
        finally:
            await deps.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    while "server" not in given or not given["server"].started:
        thread.join(0.05)
        assert thread.is_alive()
    port = given["server"].servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    given["server"].should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def token(entra: Entra) -> str:
    return entra.token(PARTNER_TENANT, API)


@pytest.fixture(scope="module")
def known(server: str, token: str) -> dict[str, str]:
    """Ids of things that are there, by the name of the parameter."""
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=f"{server}/api/v1", headers=headers, trust_env=False) as client:
        answer = client.post("/customers", json={"displayName": "Contoso"})
    return {"customer_id": answer.json()["id"]}


bounded = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@schema.parametrize()
@bounded
def test_authorised(case: Any, server: str, token: str, known: dict[str, str]) -> None:
    for name in known.keys() & (case.path_parameters or {}).keys():
        if len(str(case.path_parameters[name])) % 2:
            case.path_parameters[name] = known[name]
    case.headers.pop("Holdfast-Context", None)
    headers = {"Authorization": f"Bearer {token}"}
    case.call_and_validate(base_url=server, headers=headers, checks=CHECKS)


@schema.parametrize()
@settings(bounded, max_examples=1)
def test_not_authorised(case: Any, server: str) -> None:
    case.headers.pop("Authorization", None)
    case.headers.pop("X-Api-Key", None)
    answer = case.call_and_validate(base_url=server, checks=CHECKS)
    if case.operation.definition.raw.get("security"):
        assert answer.status_code in {400, 401, 404, 405, 414}
