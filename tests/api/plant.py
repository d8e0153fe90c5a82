"""The Partner API over the real engine: real tables, a simulated Microsoft 365, vaults in memory.

The API notes which processes it starts; `Plant` then runs them the way their host does.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from functions.api.app import build
from local.azurite import Azurite
from shared import bootstrap
from shared.access.contexts import Flags
from shared.access.model import Admin, Client
from shared.bootstrap import Deps, prepare
from shared.customers import repository as customers
from shared.customers.model import AppBinding, Customer, CustomerState, Service
from shared.kit.ids import new_id
from shared.microsoft365 import wire as wires
from shared.protection import process, repository, service
from shared.protection.model import ObjectRun, Session
from shared.protection.tasks import SessionTask
from shared.vault.keystore import FileKeyStore
from tests.api.conftest import API, RecordedClient
from tests.contract.engine.conftest import Ground, MemoryStorage
from tests.contract.graph.conftest import Cloud, certificates, cloud, credential
from tests.entra import Entra

__all__ = ["certificates", "cloud", "credential", "plant", "size"]
Json = dict[str, Any]


@pytest.fixture
def size() -> Json:
    """A small tenant: three people, the last without a licence."""
    return {"users": 4, "mails": 4, "files": 3, "seed": 7}


@dataclass
class Plant(Ground):
    """A customer of a partner, the API as its administrator, and the engine behind it."""

    api: httpx.AsyncClient = None  # type: ignore[assignment]
    durable: RecordedClient = None  # type: ignore[assignment]
    bearer: Callable[..., dict[str, str]] = None  # type: ignore[assignment]
    partner_tenant: str = ""

    @property
    def people(self) -> list[Json]:
        """Users with a licence."""
        return [user for user in self.cloud.world["users"] if user["licensed"]]

    def path(self, rest: str = "") -> str:
        """An address below the customer."""
        return f"/api/v1/customers/{self.customer.customer_id}{rest}"

    async def get(self, path: str, **query: Any) -> Json:
        answer = await self.api.get(path, params=query)
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    async def policy(self, **body: Any) -> Json:
        """POST a policy."""
        answer = await self.api.post(self.path("/policies"), json={"name": "P", **body})
        assert answer.status_code == 201, answer.text
        made: Json = answer.json()
        return made

    async def edit(self, policy_id: str, **body: Any) -> httpx.Response:
        """PATCH a policy with its newest ETag."""
        address = f"/api/v1/policies/{policy_id}"
        etag = (await self.api.get(address)).headers["ETag"]
        return await self.api.patch(address, json=body, headers={"If-Match": etag})

    async def run(self, policy_id: str) -> Session:
        """Start by the API, then do what its process does."""
        answer = await self.api.post(f"/api/v1/policies/{policy_id}/sessions")
        assert answer.status_code == 202, answer.text
        return await self.process(answer.json()["id"])

    async def process(self, session_id: str) -> Session:
        """A whole session that was started."""
        job = SessionTask(partner_id=self.scope.partner_id, session_id=session_id)
        plan = await process.plan_session(self.deps, job)
        disconnected = plan.outcome == "disconnected"
        for group in range(plan.groups):
            for task in await process.list_group(self.deps, job, group):
                answer = await self.protect(task)
                disconnected = disconnected or answer.outcome == "disconnected"
        ended = {"disconnected": disconnected, "error": plan.detail or None}
        await process.seal_session(self.deps, job.model_copy(update=ended))
        return await self.session(job)

    async def protected(self, session: Session) -> set[tuple[str, str]]:
        """(workload, owner's number) of every object of a session."""
        found = await repository.list_objects(
            self.deps.tables, self.scope, self.customer.customer_id
        )
        owners = {one.object_id: one.owner_id for one in found}
        numbers = {user["id"]: index for index, user in enumerate(self.people)}
        return {
            (run.workload, str(numbers[owners[run.object_id]]))
            for run in await self.all_runs(session)
        }

    async def all_runs(self, session: Session) -> list[ObjectRun]:
        """Every object of a session."""
        return list((await self.runs(session)).values())

    async def group(self, name: str, members: list[str], group_id: str = "") -> str:
        """Make or change a group of the directory; its id."""
        body = {"displayName": name, "members": members}
        path = "/groups" + (f"/{group_id}" if group_id else "")
        return str((await self.cloud.in_tenant("POST", path, json=body))["id"])

    async def object_of(self, user: Json, workload: str = "mailbox") -> Json:
        """The protected object of a user."""
        found = (await self.get(self.path("/objects")))["value"]
        return next(
            one for one in found if (one["ownerId"], one["workload"]) == (user["id"], workload)
        )


@pytest.fixture
async def plant(
    cloud: Cloud,
    azurite: Azurite,
    entra: Entra,
    durable: RecordedClient,
    bearer: Callable[..., dict[str, str]],
    tmp_path: Any,
) -> AsyncIterator[Plant]:
    """An active customer with the recommended policy; callers are the partner's own daemon."""
    settings = cloud.settings.model_copy(
        update={
            "storage_connection": SecretStr(azurite.connection),
            "authority": entra.authority,
            "api_client_id": API,
            "public_url": "http://holdfast.test",
            "rate_quota": 1_000_000,
            "key_store": f"file:{tmp_path / 'keys'}",
        }
    )
    deps = Deps(settings, clock=cloud.clock, storage=MemoryStorage(settings))
    deps.__dict__["tokens"] = cloud.tokens
    deps.__dict__["keys"] = FileKeyStore(tmp_path / "keys")
    wires._wires[asyncio.get_running_loop()] = cloud.wire
    bootstrap.use(deps)
    await prepare(deps)
    tenant = str(uuid.uuid4())
    clients = ["daemon", Client("operator", is_operator=True)]
    admin = Admin("ann@a.example", "Ann", "A")
    made = await deps.partners.register(tenant, "Partner", clients, [admin])  # type: ignore[arg-type]
    from shared.access.model import Scope

    scope = Scope(made.partner_id)
    now = cloud.clock.now()
    customer = await customers.add(
        deps.tables,
        scope,
        Customer(
            customer_id=new_id(),
            partner_id=scope.partner_id,
            display_name="Contoso",
            state=CustomerState.ACTIVE,
            tenant_id=cloud.tenant_id,
            region="westeurope",
            retention_years=1,
            flags=Flags(multiple_regions=True),
            services=[Service.EXCHANGE, Service.ONEDRIVE],
            consent=AppBinding(
                reader_client_id=settings.reader_client_id,
                restorer_client_id=settings.restorer_client_id,
            ),
            created_at=now,
            updated_at=now,
        ),
    )
    policy = await service.create_recommended_policy(deps, scope, customer)
    transport = httpx.ASGITransport(build(), raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://holdfast.test") as api:
        api.headers.update(bearer(tenant, azp="daemon"))
        yield Plant(
            cloud, deps, customer, policy.policy_id, scope,
            api=api, durable=durable, bearer=bearer, partner_tenant=tenant,
        )  # fmt: skip
    await deps.storage.close()
