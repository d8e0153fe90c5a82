"""Pure decisions of consent: which state a look at the grant means, whether a link may be used."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.consent.model import Consented, ConsentHealth, ConsentLink, ConsentState
from shared.kit.errors import Conflict, Invalid

if TYPE_CHECKING:
    from shared.microsoft365.permissions import Comparison, Workload

# M39: long enough for a phone call, short enough that a leaked link is worthless tomorrow.
LINK_LIFE = timedelta(minutes=30)

# Which workloads a chosen service needs permissions for; every tenant needs the directory.
WORKLOADS: dict[str, tuple["Workload", ...]] = {
    "exchange": ("mailbox", "calendar", "contacts"),
    "onedrive": ("drive",),
    "sharepoint": ("site",),
    "teams": ("team",),
}

# ConsentLost.state (microsoft365) -> our state. `invited` after a grant means it was taken back.
_REFUSALS = {
    "revoked": ConsentState.REVOKED,
    "invited": ConsentState.REVOKED,
    "denied": ConsentState.DENIED,
    "degraded": ConsentState.REVOKED,
    "blocked": ConsentState.BLOCKED,
    "tenant_gone": ConsentState.TENANT_GONE,
}

# States in which waiting longer cannot help.
HOPELESS = frozenset({ConsentState.DENIED, ConsentState.BLOCKED, ConsentState.TENANT_GONE})


class ConsentStateInvalid(Invalid):
    """The call-back's state is unknown, used or too old (CON-03)."""

    code, title = "CONSENT_STATE_INVALID", "This consent link is not valid"


class NoTenant(Conflict):
    """Consent is asked of a tenant, and the customer has none before its onboarding."""

    code, title = "CUSTOMER_NOT_CONNECTED", "The customer's tenant is not connected"


def tenant_of(customer: Consented) -> str:
    """The customer's tenant; `NoTenant` before its onboarding."""
    if customer.tenant_id is None:
        raise NoTenant("Onboard the customer first.")
    return customer.tenant_id


def workloads(services: Iterable[str]) -> list["Workload"]:
    """The workloads behind the chosen services, `directory` first."""
    found = {workload for service in services for workload in WORKLOADS.get(service, ())}
    return ["directory", *sorted(found)]


def health_of_roles(comparison: "Comparison", now: datetime) -> ConsentHealth:
    """What the roles of a fresh token say (M37); surplus roles are reported, not refused."""
    missing = sorted(comparison.missing)
    return ConsentHealth(
        state=ConsentState.MISSING if missing else ConsentState.HEALTHY,
        missing=missing,
        excess=sorted(comparison.excess),
        workloads_off=sorted(comparison.degraded),
        detail=f"Permissions missing: {', '.join(missing)}." if missing else "",
        checked_at=now,
    )


def health_of_refusal(refusal: str, aadsts: int, now: datetime) -> ConsentHealth:
    """What a tenant-level refusal of the sign-in says (marketplace-auth.md 3.5)."""
    state = _REFUSALS.get(refusal, ConsentState.REVOKED)
    return ConsentHealth(
        state=state, detail=f"The tenant refuses us: {refusal} (AADSTS{aadsts}).", checked_at=now
    )


def never_granted(health: ConsentHealth) -> ConsentHealth:
    """A grant that was never there is not revoked: its administrator is still to be asked."""
    if health.state is not ConsentState.REVOKED:
        return health
    return health.model_copy(
        update={"state": ConsentState.INVITED, "detail": "The tenant has not granted this yet."}
    )


def is_proof(health: ConsentHealth) -> bool:
    """Whether onboarding may go on: every permission the chosen services need is there (M40)."""
    return health.state is ConsentState.HEALTHY


def require_usable(link: ConsentLink | None, now: datetime) -> ConsentLink:
    """The link, if it is ours, in time and unused; `ConsentStateInvalid` otherwise (CON-03)."""
    if link is None:
        raise ConsentStateInvalid("This consent link is unknown. Ask your partner for a new one.")
    if link.used_at is not None:
        raise ConsentStateInvalid("This consent link was used already.")
    if link.expires_at <= now:
        raise ConsentStateInvalid("This consent link has expired. Ask your partner for a new one.")
    return link


def outcome(admin_consent: str | None, error: str | None) -> str:
    """What the call-back claims: `accepted` or `declined`."""
    return "accepted" if (admin_consent or "").lower() == "true" and not error else "declined"
