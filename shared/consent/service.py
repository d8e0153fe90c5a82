"""Use cases of consent: check a tenant's grant, ask for it, take a call-back."""

import re
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from shared.access.model import Scope
from shared.consent import repository, rules
from shared.consent.model import App, Consent, Consented, ConsentHealth, ConsentLink
from shared.kit.config import MICROSOFT_GRAPH
from shared.kit.tables import LostRace

if TYPE_CHECKING:
    from shared.bootstrap import Deps

# The name of Graph as a resource: the same on every host that plays Microsoft's part.
GRAPH_SCOPE = f"{MICROSOFT_GRAPH}/.default"
CALLBACK_PATH = "/api/v1/consent/callback"
# 32 random bytes in URL-safe base 64.
_STATE = re.compile(r"[A-Za-z0-9_-]{43}")


async def check(deps: "Deps", customer: Consented) -> ConsentHealth:
    """Take a fresh token in the customer's tenant, compare its roles, keep what was found.

    The roles of a token are the cheapest truth (marketplace-auth.md 3.5). A refusal by the tenant
    is a health; `SignInUnavailable` and `OurCredentialRefused` are raised: nothing was learnt.
    """
    return await check_tenant(
        deps, customer.customer_id, rules.tenant_of(customer), customer.services
    )


async def check_every_app(deps: "Deps", customer: Consented) -> list[Consent]:
    """`check` for the Reader and the Restorer; what is kept of the customer afterwards."""
    tenant_id = rules.tenant_of(customer)
    for app in App:
        await check_tenant(deps, customer.customer_id, tenant_id, customer.services, app)
    own = Scope("", frozenset({customer.customer_id}))
    return await repository.list_of(deps.tables, own, customer.customer_id)


async def check_tenant(
    deps: "Deps",
    customer_id: str,
    tenant_id: str,
    services: Sequence[str] | None,
    app: App = App.READER,
) -> ConsentHealth:
    """`check` for a tenant that is not yet bound to its customer; None means every service."""
    from shared.microsoft365 import permissions
    from shared.microsoft365.errors import ConsentLost

    client_id = _client_id(deps, app)
    granted: list[str] = []
    try:
        token = await deps.tokens.get(tenant_id, client_id, fresh=True)
    except ConsentLost as lost:
        health = rules.health_of_refusal(lost.state, lost.aadsts, deps.clock.now())
        token = None
    if token is not None and token.tenant_id.lower() != tenant_id.lower():
        # M40: a token of another tenant proves nothing.
        health = rules.health_of_refusal("denied", 0, deps.clock.now())
    elif token is not None:
        granted = sorted(token.roles)
        chosen = rules.workloads(rules.WORKLOADS if services is None else services)
        health = rules.health_of_roles(
            permissions.compare(chosen, token.roles, app=app.value), deps.clock.now()
        )
    own, version = Scope("", frozenset({customer_id})), str(permissions.MANIFEST_VERSION)
    known = await repository.find(deps.tables, own, customer_id, tenant_id, client_id, version)
    granted_at = known.granted_at if known else None
    health = rules.never_granted(health) if granted_at is None else health
    consent = Consent(
        customer_id=customer_id,
        tenant_id=tenant_id,
        client_id=client_id,
        manifest_version=version,
        granted=granted,
        granted_at=granted_at or (deps.clock.now() if granted else None),
        **health.model_dump(),
    )
    await repository.save(deps.tables, own, consent)
    return health


async def create_link(
    deps: "Deps",
    *,
    partner_id: str,
    customer_id: str,
    tenant_id: str,
    created_by: str,
    run_id: str = "",
    app: App = App.READER,
) -> tuple[str, ConsentLink]:
    """An admin-consent link with a fresh single-use state, bound to customer, run and app (M39).

    Without a run the call-back wakes nobody; the grant is looked at when it is needed.
    """
    link = ConsentLink(
        state=secrets.token_urlsafe(32),
        partner_id=partner_id,
        customer_id=customer_id,
        tenant_id=tenant_id,
        client_id=_client_id(deps, app),
        run_id=run_id,
        created_by=created_by,
        expires_at=deps.clock.now() + rules.LINK_LIFE,
    )
    await repository.add_link(deps.tables, link)
    query = {
        "client_id": link.client_id,
        "scope": GRAPH_SCOPE,
        "redirect_uri": deps.settings.public_url.rstrip("/") + CALLBACK_PATH,
        "state": link.state,
    }
    authority = deps.settings.authority.rstrip("/")
    return f"{authority}/{tenant_id}/v2.0/adminconsent?{urlencode(query)}", link


async def take_callback(
    deps: "Deps", *, state: str, admin_consent: str | None, error: str | None, detail: str
) -> ConsentLink:
    """Mark the link used and keep what the call-back claims; nothing of it is believed (M40).

    `ConsentStateInvalid` for a state that is foreign, used, or too old (CON-03).
    """
    known = await repository.find_link(deps.tables, state) if _STATE.fullmatch(state) else None
    link = rules.require_usable(known, deps.clock.now())
    used = link.model_copy(
        update={
            "used_at": deps.clock.now(),
            "outcome": rules.outcome(admin_consent, error),
            "detail": detail[:500],
        }
    )
    try:
        await repository.save_link(deps.tables, used)
    except LostRace as lost:
        raise rules.ConsentStateInvalid("This consent link was used already.") from lost
    return used


def _client_id(deps: "Deps", app: App) -> str:
    if app is App.RESTORER:
        return deps.settings.restorer_client_id
    return deps.settings.reader_client_id
