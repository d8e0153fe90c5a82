"""API keys for tools that cannot do OAuth: `hfk_{partner}.{key id}.{secret}`, shown once.

The first two parts are not secret: they find the row and name the key in lists and logs. Of the
secret, 256 random bits, only SHA-256 is kept; there is nothing to guess, so no slow hash is needed.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.access.ip_ranges import Address, IpRange, check_address
from shared.access.permissions import SERVICES
from shared.access.role_model import ApiKey
from shared.kit.errors import Invalid, Unauthorized
from shared.kit.ids import new_id

SCHEME = "hfk_"
SECRET_BYTES = 32
LONGEST_LIFE = timedelta(days=366)
KEY_ID_CHARACTERS = 12
_FORM = re.compile(r"hfk_([A-Za-z0-9-]{1,64})\.([0-9a-z]{12})\.([A-Za-z0-9_-]{43})")
# Compared with when no key was found, so that the answer takes the same way.
_NO_DIGEST = hashlib.sha256(b"no such key").hexdigest()


class KeyInvalid(Unauthorized):
    """The API key is unknown, revoked, expired or malformed: callers learn no more."""

    code, title = "API_KEY_INVALID", "The API key is not valid"


@dataclass(frozen=True, slots=True)
class Presented:
    """A key as it came in a request."""

    partner_id: str
    key_id: str
    secret: str

    def __repr__(self) -> str:
        return f"Presented({self.partner_id!r}, {self.key_id!r})"


def make(
    partner_id: str,
    name: str,
    permissions: frozenset[str],
    *,
    now: datetime,
    expires_at: datetime,
    customers: frozenset[str] | None = None,
    areas: frozenset[str] = frozenset({SERVICES}),
    ranges: tuple[IpRange, ...] = (),
    is_restricted: bool = False,
    created_by: str = "",
) -> tuple[ApiKey, str]:
    """A new key and its text, which is shown once. `Invalid` for an expiry out of bounds."""
    if not now < expires_at <= now + LONGEST_LIFE:
        raise Invalid(
            f"A key expires within {LONGEST_LIFE.days} days from now.", pointer="/expiresAt"
        )
    key_id, secret = new_id(KEY_ID_CHARACTERS), secrets.token_urlsafe(SECRET_BYTES)
    key = ApiKey(
        key_id=key_id,
        name=name,
        digest=_digest(secret),
        permissions=permissions,
        customers=customers,
        areas=areas,
        ranges=ranges,
        is_restricted=is_restricted,
        expires_at=expires_at,
        created_at=now,
        created_by=created_by,
    )
    return key, f"{SCHEME}{partner_id}.{key_id}.{secret}"


def parse(text: str) -> Presented:
    """The parts of a key; `KeyInvalid` (401) when it has not the form of one."""
    match = _FORM.fullmatch(text) if len(text) <= 160 else None
    if match is None:
        raise KeyInvalid("Send the whole key as it was shown.")
    return Presented(match[1], match[2], match[3])


def check(key: ApiKey | None, given: Presented, now: datetime, address: Address | None) -> ApiKey:
    """The stored key when it was presented rightly: secret, expiry, address, in constant time.

    Raises `KeyInvalid` (401), and `AddressNotAllowed` (403) only to who knows the secret.
    """
    expected = key.digest if key else _NO_DIGEST
    fits = hmac.compare_digest(_digest(given.secret), expected)
    if key is None or not fits or key.key_id != given.key_id or key.expires_at <= now:
        raise KeyInvalid("Make a new key, or ask an administrator for one.")
    check_address(address, [key.restriction()])
    return key


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
