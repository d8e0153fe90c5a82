"""Pure decisions of access: what a role permits, who a token's claims describe."""

from typing import Any, Literal

from shared.access.model import Partner, Permission, Principal
from shared.kit.errors import Forbidden, Unauthorized

DELEGATED_SCOPE = "access_as_user"

_READ = frozenset(permission for permission in Permission if permission.value.endswith(".read"))
# The app roles of the Partner API registration (marketplace-auth.md 3.2).
ROLES: dict[str, frozenset[Permission]] = {
    "Partner.Admin": frozenset(Permission),
    "Partner.Operator": frozenset(Permission) - {Permission.RESTORES_START},
    "Partner.Reader": _READ,
    "Partner.Restore": _READ | {Permission.RESTORES_START},
    "Partner.Billing": frozenset({Permission.CUSTOMERS_READ}),
}


class TokenInvalid(Unauthorized):
    """The token is not one that this API accepts."""

    code, title = "TOKEN_INVALID", "The access token is not valid"


class PartnerUnknown(Forbidden):
    """A good token of a tenant that is no partner of ours."""

    code, title = "PARTNER_UNKNOWN", "Your tenant is not registered as a partner"


class ClientNotRegistered(Forbidden):
    """A good token of an application the partner has not registered."""

    code, title = "CLIENT_NOT_REGISTERED", "This application is not registered"


class RoleMissing(Forbidden):
    """A good token without any of our app roles or without the delegated scope."""

    code, title = "ROLE_MISSING", "The token carries none of our roles"


def permissions(roles: frozenset[str]) -> frozenset[Permission]:
    """The union of what the roles permit; an unknown role permits nothing."""
    return frozenset[Permission]().union(*(ROLES.get(role, frozenset()) for role in roles))


def decide_principal(claims: dict[str, Any], partner: Partner) -> Principal:
    """Who the validated claims describe within this partner (marketplace-auth.md 3.1, rules 6, 7).

    Raises `ClientNotRegistered`, `RoleMissing` or `TokenInvalid`.
    """
    roles = frozenset(claims.get("roles") or ()) & ROLES.keys()
    if not roles:
        raise RoleMissing(f"The token needs one of the app roles {', '.join(sorted(ROLES))}.")
    kind: Literal["user", "application"] = "application"
    if claims.get("idtyp") == "app":
        _require_registered_client(claims, partner)
    elif DELEGATED_SCOPE in str(claims.get("scp", "")).split():
        kind = "user"
    else:
        raise RoleMissing(
            f"The token is neither an application's (idtyp app) nor has it the scope "
            f"{DELEGATED_SCOPE}."
        )
    subject = claims.get("oid")
    if not isinstance(subject, str) or not subject:
        raise TokenInvalid("The token names no object id (oid).")
    return Principal(
        partner_id=partner.partner_id,
        tenant_id=partner.tenant_id,
        subject=subject,
        kind=kind,
        roles=roles,
        name=str(claims.get("name") or claims.get("azp") or subject),
    )


def _require_registered_client(claims: dict[str, Any], partner: Partner) -> None:
    if claims.get("azp") not in partner.clients:
        raise ClientNotRegistered("Register this application's client id for your partner first.")
    # azpacr says how the client proved itself: 0 is a public client, which proves nothing.
    if str(claims.get("azpacr", "0")) not in {"1", "2"}:
        raise TokenInvalid("An application has to sign in with a secret or a certificate.")
