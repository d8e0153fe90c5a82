"""The scene of an end-to-end test: customers on one stack, and what a test asks of them.

Everything goes through sockets: the Partner API behind the local host, Microsoft 365's own
addresses, and its admin side for what people do there.
"""

import asyncio
import base64
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import httpx

from local.demo.proof import Fingerprint, Tenant
from local.stack import Stack
from shared.bootstrap import Deps
from shared.kit.config import Settings
from tests.e2e.parties import Cloud, Json, Partner, TwoPartners

SESSION_OVER = {"Success", "Warning", "Failed", "Disconnected", "Stopped"}
RESTORE_OVER = {"Completed", "CompletedWithErrors", "Failed", "Canceled"}
OPERATION_OVER = {"Succeeded", "Failed", "Canceled"}


@dataclass
class Customer:
    """An active customer of a partner, and the tenant behind it."""

    scene: "Scene"
    partner: Partner
    tenant: Json
    id: str
    policy: str = ""

    @property
    def people(self) -> list[Json]:
        """The licensed users."""
        return [user for user in self.tenant["users"] if user["licensed"]]

    def start(self) -> str:
        """POST …/sessions; the session's id."""
        return str(self.partner.post(f"/policies/{self.policy}/sessions")["id"])

    def ended(self, session: str) -> Json:
        """The session when it is over, its objects under `runs`."""
        path = f"/sessions/{session}"
        found = self.partner.follow(path, lambda answer: answer["state"] in SESSION_OVER)
        return {**found, "runs": list(self.partner.all(f"{path}/objects"))}

    def back_up(self, expected: str = "Success") -> Json:
        """One session from start to end."""
        session = self.ended(self.start())
        assert session["state"] == expected, session
        return session

    def object(self, workload: str, user: Json) -> Json:
        """The protected mailbox or drive of a user, as it is now."""
        for found in self.partner.all(f"/customers/{self.id}/objects"):
            if found["workload"] == workload and found["ownerId"] == user["id"]:
                return found
        raise AssertionError(f"no {workload} of {user['upn']}")

    def items(self, protected: Json, n: int | None = None, **query: str) -> list[Json]:
        """Everything in a snapshot, by default the newest."""
        number = n or protected["lastPoint"]["n"]
        path = f"/objects/{protected['id']}/snapshots/{number}/items"
        return list(self.partner.all(path, maxpagesize="1000", **query))

    def truth(self, user: Json) -> Json:
        """What really is in a user's mailbox and drive."""
        path = f"/tenants/{self.tenant['tenantId']}/users/{user['id']}/truth"
        return dict(self.scene.cloud.ask("GET", path))

    def change(self, seed: int, users: list[Json] | None = None, **per_user: int) -> Json:
        """Let people work; totals per kind of change."""
        chosen = [user["upn"] for user in (users or self.people)]
        body = {"seed": seed, "users": chosen, "perUser": per_user}
        path = f"/tenants/{self.tenant['tenantId']}/change"
        return dict(self.scene.cloud.ask("POST", path, body)["totals"])

    def restore(self, body: Json, expected: str = "Completed") -> Json:
        """One restore from start to end, its lines under `lines`."""
        path = f"/restores/{self.partner.post('/restores', body)['id']}"
        found = self.partner.follow(path, lambda answer: answer["state"] in RESTORE_OVER)
        lines = list(self.partner.all(f"{path}/items"))
        assert found["state"] == expected, (found, [one for one in lines if one["error"]])
        return {**found, "lines": lines}

    def look[T](self, see: Callable[[Tenant], Coroutine[Any, Any, T]]) -> T:
        """Read the tenant through Graph as the Reader."""
        return asyncio.run(self._look(see))

    def mails(self, user: Json, path: str) -> dict[str, Fingerprint]:
        """Fingerprints of the mails in one folder; empty when there is no such folder."""

        async def see(tenant: Tenant) -> dict[str, Fingerprint]:
            async for name, folder in tenant.folders(user["id"]):
                if name == path:
                    return await tenant.mails(user["id"], folder)
            return {}

        return self.look(see)

    def all_mails(self, user: Json) -> dict[str, dict[str, Fingerprint]]:
        """Fingerprints of every mail, by the path of its folder."""

        async def see(tenant: Tenant) -> dict[str, dict[str, Fingerprint]]:
            return {
                name: await tenant.mails(user["id"], folder)
                async for name, folder in tenant.folders(user["id"])
            }

        return self.look(see)

    async def _look[T](self, see: Callable[[Tenant], Coroutine[Any, Any, T]]) -> T:
        stack = self.scene.stack
        trusted = ssl.create_default_context(cafile=str(stack.certificates.bundle))
        connector = aiohttp.TCPConnector(ssl=trusted)
        async with aiohttp.ClientSession(connector=connector) as session:
            token = await asyncio.to_thread(stack.reader_token, self.tenant["tenantId"])
            return await see(Tenant(session, stack.urls.microsoft365_tls, token))


@dataclass
class Scene:
    """A running stack with its people; every test module takes tenants of its own."""

    stack: Stack
    registrations: TwoPartners
    partner: Partner
    cloud: Cloud
    _tenants: list[Json] = field(default_factory=list)

    @classmethod
    def on(cls, stack: Stack) -> "Scene":
        """The people around a stack that runs with `TwoPartners`."""
        registrations = stack.registrations
        assert isinstance(registrations, TwoPartners)
        cloud = Cloud(stack.urls.microsoft365, str(stack.certificates.bundle))
        cloud.calm()
        partner = Partner(stack.urls.api, stack.partner_token())
        tenants = list(cloud.ask("GET", "/world")["tenants"])
        return cls(stack, registrations, partner, cloud, tenants)

    def close(self) -> None:
        """End the connections."""
        self.partner.close()
        self.cloud.close()

    def tenant(self) -> Json:
        """A tenant that nobody has used yet."""
        assert self._tenants, "the world of the tests needs one tenant more"
        return self._tenants.pop()

    def with_storage[T](self, work: Callable[[Deps], Coroutine[Any, Any, T]]) -> T:
        """Run something on the deployment's own tables, as an operator would."""

        async def run() -> T:
            settings = Settings(
                storage_connection=self.stack.azurite.connection,  # type: ignore[arg-type]
                key_store=self.stack.environment["HOLDFAST_KEY_STORE"],
            )
            deps = Deps(settings)
            try:
                return await work(deps)
            finally:
                await deps.close()

        return asyncio.run(run())

    def new_customer(self, tenant: Json, partner: Partner | None = None) -> Customer:
        """A pending customer."""
        who = partner or self.partner
        created = who.post("/customers", {"displayName": tenant["displayName"]})
        return Customer(self, who, tenant, created["id"])

    def onboarded(
        self, tenant: Json | None = None, partner: Partner | None = None, **plan: Any
    ) -> Customer:
        """An active customer, by consent link."""
        customer = self.new_customer(tenant or self.tenant(), partner)
        operation = self.start_onboarding(customer, **plan)
        self.accept(customer)
        ended = self.end_of(customer, operation)
        assert ended["status"] == "Succeeded", ended
        policies = list(customer.partner.all(f"/customers/{customer.id}/policies"))
        customer.policy = policies[0]["id"] if policies else ""
        return customer

    def start_onboarding(self, customer: Customer, **plan: Any) -> str:
        """POST …/onboarding; the operation's id."""
        body = plan_of(customer.tenant, **plan)
        return str(customer.partner.post(f"/customers/{customer.id}/onboarding", body)["id"])

    def sign_in(self, customer: Customer) -> Json:
        """The link or code, as soon as it is there."""
        path = f"/customers/{customer.id}/onboarding"
        run = customer.partner.follow(path, lambda answer: answer["signIn"] or answer["error"])
        assert run["signIn"], run
        return dict(run["signIn"])

    def accept(self, customer: Customer) -> str:
        """The administrator opens the link and accepts; what our page says."""
        link = self.sign_in(customer)["link"]
        return self.cloud.consent_in_browser(link, customer.tenant["admin"]["upn"])

    def end_of(self, customer: Customer, operation: str) -> Json:
        """The onboarding's operation when it is over."""
        return customer.partner.follow(f"/operations/{operation}", _is_final)

    def let_restore(self, customer: Customer) -> None:
        """The tenant consents to the Restorer."""
        path = f"/tenants/{customer.tenant['tenantId']}/consent"
        self.cloud.ask("POST", path, {"clientId": self.registrations.restorer})


def _is_final(operation: Json) -> bool:
    return operation["status"] in OPERATION_OVER


def plan_of(tenant: Json, **changed: Any) -> Json:
    """A good onboarding request, with some members changed; None takes one out."""
    body: Json = {
        "legalConfirmation": {"confirmed": True},
        "tenantId": tenant["tenantId"],
        "region": "westeurope",
        "retentionYears": 1,
        "services": ["exchange", "onedrive"],
        **changed,
    }
    return {name: value for name, value in body.items() if value is not None}


def refused(answer: httpx.Response, status: int, code: str) -> Json:
    """The problem document of a refusal, checked for its form (RFC 9457)."""
    assert answer.status_code == status, f"{answer.status_code} {answer.text[:600]}"
    assert answer.headers["content-type"].startswith("application/problem+json")
    problem = dict(answer.json())
    assert problem["code"] == code, problem
    assert answer.headers["x-error-code"] == code
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert problem["traceId"]
    return problem


def hex_of(content_hash: str | None) -> str:
    """A base64url hash of the API as the simulator writes it."""
    text = content_hash or ""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).hex()


def state_of(link: str) -> str:
    """The state in a consent link."""
    return parse_qs(urlsplit(link).query)["state"][0]
