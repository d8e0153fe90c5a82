"""An onboarded customer on a stack of its own, for cases that measure real sessions."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.demo.api import Json, NotAsSaid, PartnerApi
from local.demo.tenant import CustomerSide
from local.stack import Stack
from shared.microsoft365.quotas import OURS

OVER = {"Success", "Warning", "Failed", "Disconnected", "Stopped"}
PLENTY = 1_000_000_000


@dataclass
class BenchCustomer:
    """One active customer and the tools to look at it."""

    stack: Stack
    api: PartnerApi
    side: CustomerSide
    tenant: Json
    customer_id: str
    policy_id: str

    def session(self) -> tuple[Json, Json]:
        """One backup session, ended as Success, and what the simulator counted meanwhile."""
        self.side.graph_requests()
        started = self.api.post(f"/policies/{self.policy_id}/sessions")
        path = f"/sessions/{started['id']}"
        ended = self.api.follow(path, lambda session: session["state"] in OVER)
        if ended["state"] != "Success":
            raise NotAsSaid(f"the session ended as {ended['state']}: {ended['error']}")
        ended["runs"] = list(self.api.all(f"{path}/objects"))
        return ended, self.side.graph_requests()


@contextmanager
def bench_customer(*world: str, unlimited: bool = False) -> Iterator[BenchCustomer]:
    """A stack with one onboarded customer; `unlimited` lifts the quotas on both sides."""
    with tempfile.TemporaryDirectory() as directory:
        at = Path(directory)
        settings = {"HOLDFAST_QUOTAS_FILE": str(_no_quotas(at))} if unlimited else {}
        given = ["--tenants", "1", *world]
        if unlimited:
            given += ["--limits", str(_no_limits(at))]
        with (
            Stack(at / "stack", world=given, settings=settings) as stack,
            closing(PartnerApi(stack.urls.api, stack.partner_token)) as api,
            closing(CustomerSide(stack.urls.microsoft365)) as side,
        ):
            api.watch(lambda: str(dead) if (dead := stack.failure()) else None)
            yield _onboarded(stack, api, side)


def _onboarded(stack: Stack, api: PartnerApi, side: CustomerSide) -> BenchCustomer:
    tenant = side.world()
    customer = api.post("/customers", {"displayName": "Bench"})["id"]
    operation = api.post(
        f"/customers/{customer}/onboarding",
        {
            "legalConfirmation": {"confirmed": True},
            "tenantId": tenant["tenantId"],
            "region": "westeurope",
            "retentionYears": 1,
            "services": ["exchange", "onedrive"],
            "acknowledgements": ["licensingModelKnown", "usersAndServicesDiscussed", "scopeAgreed"],
        },
    )
    waiting = api.follow(f"/customers/{customer}/onboarding", lambda run: bool(run["signIn"]))
    side.consent_in_browser(
        waiting["signIn"]["link"], tenant["admin"]["upn"], str(stack.certificates.bundle)
    )
    final = {"Succeeded", "Failed", "Canceled"}
    ended = api.follow(f"/operations/{operation['id']}", lambda o: o["status"] in final)
    if ended["status"] != "Succeeded":
        raise NotAsSaid(f"the onboarding ended as {ended['status']}: {ended['error']}")
    policy = next(iter(api.all(f"/customers/{customer}/policies")))["id"]
    return BenchCustomer(stack, api, side, tenant, customer, policy)


def _no_quotas(at: Path) -> Path:
    quotas: dict[str, Any] = json.loads(OURS.read_bytes())
    quotas["mailbox"] |= {"requests": PLENTY, "perSecond": 1e6, "burst": PLENTY}
    for band in quotas["sharePoint"]["bands"]:
        band |= {"perMinute": PLENTY, "perDay": PLENTY}
    path = at / "quotas.json"
    path.write_text(json.dumps(quotas))
    return path


def _no_limits(at: Path) -> Path:
    path = at / "limits.json"
    limits = {
        "outlook": {"requests": PLENTY},
        "sharepoint": {"perMinute": PLENTY, "perDay": PLENTY},
        "graph": {"requests": PLENTY},
    }
    path.write_text(json.dumps(limits))
    return path
