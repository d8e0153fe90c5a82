"""Pure decisions of access: who a token's claims describe, what app roles admit."""

from typing import Any, Literal

from shared.access.model import Principal
from shared.access.permissions import CUSTOMER_RIGHTS, OPERATOR_RIGHTS, RIGHTS
from shared.kit.errors import Forbidden, Unauthorized

DELEGATED_SCOPE = "access_as_user"

_ALL = frozenset({*RIGHTS, *CUSTOMER_RIGHTS, *OPERATOR_RIGHTS})
_READ = frozenset(right for right in _ALL if right.endswith(".read"))
# What brings data out or back: nothing an operator of backups does by the way.
_RESTORE = frozenset({"restores.start", "restores.cross", "exports.start", "mails.preview"})
# The app roles of the Partner API registration (marketplace-auth.md 3.2). They admit, they do not
# give: a right needs a grant of ours and an app role that admits it.
ROLES: dict[str, frozenset[str]] = {
    "Partner.Admin": _ALL,
    "Partner.Operator": _ALL - _RESTORE,
    "Partner.Reader": _READ,
    "Partner.Restore": _READ | _RESTORE | {"contexts.open"},
    "Partner.Billing": frozenset(
        {"me.read", "customers.read", "licences.read", "usage.read", "usage.submit"}
    ),
}


class TokenInvalid(Unauthorized):
    """The token is not one that this API accepts."""

    code, title = "TOKEN_INVALID", "The access token is not valid"


class PartnerUnknown(Forbidden):
    """A good token of a tenant that is neither a partner of ours nor a partner's customer."""

    code, title = "PARTNER_UNKNOWN", "Your tenant is not registered as a partner"


class RoleMissing(Forbidden):
    """A good token without any of our app roles or without the delegated scope."""

    code, title = "ROLE_MISSING", "The token carries none of our roles"


def ceiling(roles: frozenset[str]) -> frozenset[str]:
    """The rights that any of the app roles admits; an unknown role admits nothing."""
    return frozenset[str]().union(*(ROLES.get(role, frozenset()) for role in roles))


def decide_principal(claims: dict[str, Any], partner_id: str) -> Principal:
    """Who of a partner's tenant the claims describe (marketplace-auth.md 3.1, rules 6 and 7).

    Raises `RoleMissing` or `TokenInvalid`. Whether the application or user is known is not
    decided here.
    """
    roles = frozenset(claims.get("roles") or ()) & ROLES.keys()
    if not roles:
        raise RoleMissing(f"The token needs one of the app roles {', '.join(sorted(ROLES))}.")
    kind: Literal["user", "application"] = "application"
    if claims.get("idtyp") == "app":
        # azpacr says how the client proved itself: 0 is a public client, which proves nothing.
        if str(claims.get("azpacr", "0")) not in {"1", "2"}:
            raise TokenInvalid("An application has to sign in with a secret or a certificate.")
    else:
        require_delegated(claims)
        kind = "user"
    return Principal(
        partner_id=partner_id,
        tenant_id=claims["tid"],
        subject=subject_of(claims),
        kind=kind,
        roles=roles,
        name=str(claims.get("name") or claims.get("azp") or ""),
        client_id=str(claims.get("azp") or ""),
    )


def require_delegated(claims: dict[str, Any]) -> None:
    """`RoleMissing` (403) unless the token is a user's, with our scope."""
    if claims.get("idtyp") == "app" or DELEGATED_SCOPE not in str(claims.get("scp", "")).split():
        raise RoleMissing(
            f"The token is neither a registered application's (idtyp app) nor has it the scope "
            f"{DELEGATED_SCOPE}."
        )


def subject_of(claims: dict[str, Any]) -> str:
    """The object id: with the tenant the only name of a person that cannot be taken over."""
    subject = claims.get("oid")
    if not isinstance(subject, str) or not subject:
        raise TokenInvalid("The token names no object id (oid).")
    return subject


def sign_in_name(claims: dict[str, Any]) -> str:
    """The name a user signs in with: believed once, to tie an added user to an object id."""
    return str(claims.get("preferred_username") or claims.get("upn") or "").lower()
