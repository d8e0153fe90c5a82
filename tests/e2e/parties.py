"""Who meets in an end-to-end test: partners with their scripts, and a simulated Microsoft 365."""

import hashlib
import re
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from local.registrations import PARTNER_ADMIN, Registrations

Json = dict[str, Any]

PATIENCE_SECONDS = 120.0
LOOK_EVERY_SECONDS = 0.1


@dataclass(frozen=True)
class TwoPartners(Registrations):
    """The registrations of a local run, a second partner and a stranger beside the first."""

    @property
    def second_tenant_id(self) -> str:
        """Home of the second partner."""
        return self._id("second partner tenant")

    @property
    def second(self) -> str:
        """The second partner's daemon."""
        return self._id("second partner daemon")

    @property
    def stranger(self) -> str:
        """A daemon in the first partner's tenant that nobody registered with us."""
        return self._id("stranger")

    def document(self, credential: Any) -> dict[str, Any]:
        """One secret serves all three."""
        document = super().document(credential)
        more = {
            "kind": "confidential",
            "secretSha256": hashlib.sha256(self.partner_secret.encode()).hexdigest(),
            "appRoles": [PARTNER_ADMIN],
        }
        document["apps"] += [
            {
                **more,
                "name": "Second daemon",
                "clientId": self.second,
                "homeTenantId": self.second_tenant_id,
            },
            {
                **more,
                "name": "Stranger",
                "clientId": self.stranger,
                "homeTenantId": self.partner_tenant_id,
            },
        ]
        return document


class Partner:
    """A partner's daemon at the Partner API; refusals come back as answers."""

    def __init__(self, base: str, token: str | None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(
            base_url=f"{base}/api/v1", headers=headers, trust_env=False, timeout=60
        )

    def close(self) -> None:
        """End the connections."""
        self._http.close()

    def call(self, method: str, path: str, body: Any = None, **query: str) -> httpx.Response:
        """One call, its answer as it is."""
        return self._http.request(method, path, json=body, params=query or None)

    def raw(self, method: str, path: str, content: bytes, kind: str) -> httpx.Response:
        """One call with a body that need not be JSON."""
        return self._http.request(method, path, content=content, headers={"Content-Type": kind})

    def get(self, path: str, **query: str) -> Json:
        """GET that has to succeed, as JSON."""
        return self._good(self.call("GET", path, **query))

    def post(self, path: str, body: Json | None = None) -> Json:
        """POST that has to succeed, as JSON."""
        return self._good(self.call("POST", path, body if body is not None else {}))

    def all(self, path: str, **query: str) -> Iterator[Json]:
        """Every entry of a list, following nextLink."""
        page = self.get(path, **query)
        yield from page["value"]
        while link := page.get("nextLink"):
            page = self.get(link)
            yield from page["value"]

    def follow(self, path: str, seen: Callable[[Json], Any]) -> Json:
        """Poll until `seen` has seen enough; the last answer."""
        limit = time.monotonic() + PATIENCE_SECONDS
        while not seen(answer := self.get(path)):
            assert time.monotonic() < limit, f"{path} still says {answer}"
            time.sleep(LOOK_EVERY_SECONDS)
        return answer

    @staticmethod
    def _good(answer: httpx.Response) -> Json:
        assert answer.is_success, f"{answer.request.url}: {answer.status_code} {answer.text[:800]}"
        return dict(answer.json())


class Cloud:
    """Microsoft 365 from outside: its admin side, and what a browser does."""

    def __init__(self, address: str, trusted: str) -> None:
        self._http = httpx.Client(base_url=address, trust_env=False, timeout=60)
        self._trusted = trusted

    def close(self) -> None:
        """End the connections."""
        self._http.close()

    def ask(self, method: str, at: str, body: Any = None, **query: str) -> Any:
        """One call below /_sim; None for an empty answer."""
        answer = self._http.request(method, f"/_sim{at}", json=body, params=query)
        assert answer.is_success, f"{method} {at}: {answer.status_code} {answer.text[:300]}"
        return answer.json() if answer.content else None

    def deliver(self, tenant: str, user: str, mime: bytes, folder: str = "Inbox") -> str:
        """A mail arrives; its immutable id."""
        answer = self._http.post(
            f"/_sim/tenants/{tenant}/users/{user}/mails", content=mime, params={"folder": folder}
        )
        return str(answer.raise_for_status().json()["id"])

    def write_file(self, tenant: str, user: str, path: str, content: bytes) -> Json:
        """A file appears, or gets a new version."""
        answer = self._http.put(
            f"/_sim/tenants/{tenant}/users/{user}/files", content=content, params={"path": path}
        )
        return dict(answer.raise_for_status().json())

    def file(self, tenant: str, user: str, path: str) -> bytes | None:
        """The bytes of a file; None when there is none."""
        answer = self._http.get(f"/_sim/tenants/{tenant}/users/{user}/files", params={"path": path})
        return answer.content if answer.is_success else None

    def mail(self, tenant: str, user: str, mail_id: str) -> bytes:
        """The MIME of a mail, past every limit."""
        answer = self._http.get(f"/_sim/tenants/{tenant}/users/{user}/mails/{mail_id}")
        return answer.raise_for_status().content

    def faults(self, *rules: Json) -> None:
        """Script faults; they stay until `calm`."""
        self.ask("POST", "/faults", {"rules": list(rules)})

    def calm(self) -> None:
        """No faults, the usual limits, counters at zero."""
        for path in ("/faults", "/limits", "/stats"):
            self.ask("DELETE", path)
        self.ask("POST", "/limits", QUICK_SIGN_IN)

    def token(self, tenant_id: str, client_id: str, secret: str, scope: str) -> str:
        """A token by client secret."""
        answer = self._http.post(
            f"/{tenant_id}/oauth2/v2.0/token",
            data={
                "grant_type": "client_credentials",
                "client_id": client_id,
                "client_secret": secret,
                "scope": scope,
            },
        )
        return str(answer.raise_for_status().json()["access_token"])

    def consent_in_browser(self, link: str, account: str, decision: str = "accept") -> str:
        """Open the link, choose an account, decide, follow to our page; its text."""
        with httpx.Client(verify=self._context(), trust_env=False, timeout=60) as browser:
            browser.get(link).raise_for_status()
            form = {"account": account, "decision": decision}
            answer = browser.post(link, data=form, follow_redirects=True)
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text)).strip()

    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self._trusted)


# A device code is asked for every second instead of every five.
QUICK_SIGN_IN = {"signin": {"deviceInterval": 1}}
