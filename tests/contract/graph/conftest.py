"""A simulated Microsoft 365 behind real TLS for every test, with a clock the test moves."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from local.certs import Certificates, ClientCredential, make_certificates, make_client_credential
from local.microsoft365 import running
from local.microsoft365.clock import Clock as SimulatorClock
from local.registrations import Registrations
from shared.kit.config import Settings
from shared.microsoft365.drive import Drive
from shared.microsoft365.mail import Mailbox
from shared.microsoft365.model import Budget, Change, Cursor, Page
from shared.microsoft365.tokens import Tokens
from shared.microsoft365.transport import GraphTransport
from shared.microsoft365.wire import Wire


class SharedClock:
    """The client's view of the simulator's virtual time; sleeping moves it."""

    def __init__(self, clock: SimulatorClock) -> None:
        self.simulator = clock
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self.simulator.now()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.simulator.advance(seconds)
        await asyncio.sleep(0)


@dataclass
class Cloud:
    """One tenant of the simulator and everything a slice needs to reach it."""

    server: Any
    settings: Settings
    registrations: Registrations
    tokens: Tokens
    wire: Wire
    clock: SharedClock
    tenant_id: str
    world: dict[str, Any]

    def transport(self, *, restorer: bool = False, budget: Budget | None = None) -> GraphTransport:
        client_id = self.registrations.restorer if restorer else self.registrations.reader
        return GraphTransport(
            self.settings, self.tokens, self.tenant_id, budget or Budget(),
            client_id=client_id, wire=self.wire,
        )  # fmt: skip

    def user(self, number: int = 0) -> dict[str, Any]:
        licensed = [user for user in self.world["users"] if user["licensed"]]
        found: dict[str, Any] = licensed[number]
        return found

    async def admin(self, method: str, path: str, **options: Any) -> Any:
        url = f"{self.server.http}/_sim{path}"
        async with self.wire.session.request(method, url, **options) as response:
            body = await response.read()
            assert response.status < 300, body
            return await response.json() if body else None

    async def in_tenant(self, method: str, path: str, **options: Any) -> Any:
        return await self.admin(method, f"/tenants/{self.tenant_id}{path}", **options)

    async def consent(self, client_id: str) -> None:
        await self.in_tenant("POST", "/consent", json={"clientId": client_id})

    async def fault(self, action: str, path: str, times: int = 1, **more: Any) -> None:
        match = {"path": path, **more.pop("match", {})}
        rule = {"match": match, "times": times, "action": action, **more}
        await self.admin("POST", "/faults", json={"rules": [rule]})

    async def stats(self) -> dict[str, Any]:
        found: dict[str, Any] = await self.admin("GET", "/stats")
        return found

    async def reset_stats(self) -> None:
        await self.admin("DELETE", "/stats")

    async def truth(self, user: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = await self.in_tenant("GET", f"/users/{user['id']}/truth")
        return found

    def mailbox(self, user: dict[str, Any], **options: Any) -> Mailbox:
        return Mailbox(self.transport(**options), user["id"])

    def drive(self, user: dict[str, Any], **options: Any) -> Drive:
        return Drive(self.transport(**options), user["driveId"])


@dataclass
class Pass:
    """What one pass over a workload gave."""

    pages: list[Page]
    cursors: dict[str, Cursor]
    rows: dict[str, Change]
    removed: list[Change]


async def run_pass(workload: Any, cursors: dict[str, Cursor] | None = None) -> Pass:
    """Enumerate to the end, as the engine would."""
    result = Pass([], dict(cursors or {}), {}, [])
    async for page in workload.changes(cursors or {}, set()):
        result.pages.append(page)
        if page.gone:
            result.cursors.pop(page.container, None)
        else:
            result.cursors[page.container] = page.cursor
        for change in page.changes:
            if change.removed:
                result.removed.append(change)
            else:
                result.rows[change.item["i"]] = change
    return result


async def content_of(workload: Any, change: Change) -> bytes:
    """Fetch all of a change's content."""
    found = await workload.fetch(change)
    return found if isinstance(found, bytes) else b"".join([chunk async for chunk in found])


_authorities: list[Certificates] = []


def _authority(factory: pytest.TempPathFactory) -> Certificates:
    """One per process: each folder that imports the fixture has an instance of its own."""
    if not _authorities:
        _authorities.append(make_certificates(factory.mktemp("certificates")))
    return _authorities[0]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Certificates]:
    made = _authority(tmp_path_factory)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in made.environment().items():
            patch.setenv(name, value)
        yield made


@pytest.fixture(scope="session")
def credential(tmp_path_factory: pytest.TempPathFactory) -> ClientCredential:
    return make_client_credential(tmp_path_factory.mktemp("client") / "client.pem")


@pytest.fixture
def size() -> dict[str, Any]:
    """The world's size; a module overrides it."""
    return {"users": 3, "mails": 40, "files": 30, "seed": 7}


@pytest.fixture
async def cloud(
    certificates: Certificates, credential: ClientCredential, size: dict[str, Any]
) -> AsyncIterator[Cloud]:
    registrations = Registrations()
    simulated = SimulatorClock(datetime.now(UTC))
    async with running(
        registrations=registrations.document(credential),
        certificate=certificates.server_certificate,
        key=certificates.server_key,
        clock=simulated,
        **size,
    ) as server:
        settings = Settings(
            authority=server.https,
            graph=server.https,
            reader_client_id=registrations.reader,
            restorer_client_id=registrations.restorer,
            onboarding_client_id=registrations.onboarding,
            client_credential=credential.pem,
        )
        clock = SharedClock(simulated)
        wire = Wire(clock=clock, sleep=clock.sleep)
        tokens = Tokens(settings, wire=wire)
        try:
            async with wire.session.get(f"{server.http}/_sim/world") as response:
                world = (await response.json())["tenants"][0]
            made = Cloud(
                server, settings, registrations, tokens, wire, clock, world["tenantId"], world
            )
            await made.consent(registrations.reader)
            await made.consent(registrations.restorer)
            yield made
        finally:
            await tokens.close()
            await wire.close()
