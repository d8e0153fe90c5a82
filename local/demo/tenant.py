"""The customer's side: the administrator who consents, and what happens to the data."""

import re
from typing import Any, cast

import httpx

from local.demo.api import Json, NotAsSaid

ALL = 1_000_000
"""More than anybody has: the simulator changes what there is."""


class CustomerSide:
    """Speaks to the simulated Microsoft 365 as people and events of the customer would."""

    def __init__(self, simulator: str) -> None:
        self._http = httpx.Client(base_url=simulator, trust_env=False, timeout=120)

    def close(self) -> None:
        """End the connections."""
        self._http.close()

    def world(self) -> Json:
        """The first tenant of the simulated world."""
        return cast(Json, self._json("GET", "/_sim/world")["tenants"][0])

    def truth(self, tenant: str, user: str) -> Json:
        """What really is in a user's mailbox, calendars, contacts and drive."""
        return self._json("GET", f"/_sim/tenants/{tenant}/users/{user}/truth")

    def shared_truth(self, tenant: str, kind: str, identity: str) -> Json:
        """What really is in one of the `sites` or `teams`."""
        return self._json("GET", f"/_sim/tenants/{tenant}/{kind}/{identity}/truth")

    def change(self, tenant: str, seed: int, **what: Any) -> Json:
        """Let people work: so many changes of each kind, `perUser`, `perSite`, `perTeam`."""
        body = {"seed": seed, **what}
        return cast(Json, self._json("POST", f"/_sim/tenants/{tenant}/change", body)["totals"])

    def graph_requests(self) -> Json:
        """What Microsoft 365 counted since the last look."""
        counted = self._json("GET", "/_sim/stats")
        self._http.delete("/_sim/stats").raise_for_status()
        return counted

    def consent_in_browser(self, link: str, administrator: str, trusted: str) -> str:
        """Open the consent link, choose the administrator, press Accept, land on our call-back.

        The last page's text. `trusted` is the CA bundle of this run.
        """
        with httpx.Client(verify=trusted, trust_env=False, timeout=60) as browser:
            page = browser.get(link)
            if page.is_error or 'value="accept"' not in page.text:
                raise NotAsSaid(f"the consent page does not offer to accept: {page.text[:400]}")
            form = {"account": administrator, "decision": "accept"}
            answer = browser.post(link, data=form, follow_redirects=True)
            if answer.is_error:
                raise NotAsSaid(f"the call-back answered {answer.status_code}: {answer.text[:400]}")
            shown = re.search(r"<body>(.*)</body>", answer.text, re.DOTALL)
            return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", shown[1] if shown else "")).strip()

    def take_consent_back(self, tenant: str, client_id: str) -> None:
        """The administrator removes one of our applications from the tenant."""
        answer = self._http.delete(
            f"/_sim/tenants/{tenant}/consent", params={"clientId": client_id}
        )
        if answer.is_error:
            raise NotAsSaid(f"the consent could not be taken back: {answer.text[:300]}")

    def enter_device_code(self, code: str, upn: str) -> None:
        """What the administrator does with a device code."""
        self._json("POST", f"/_sim/device/{code}", {"upn": upn})

    def _json(self, method: str, path: str, body: Json | None = None) -> Json:
        answer = self._http.request(method, path, json=body)
        if answer.is_error:
            raise NotAsSaid(f"{method} {path} answered {answer.status_code}: {answer.text[:300]}")
        return cast(dict[str, Any], answer.json()) if answer.content else {}
