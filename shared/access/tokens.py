"""Checks access tokens of Microsoft Entra, of many tenants (marketplace-auth.md 3.1)."""

import asyncio
import re
from typing import Any

import jwt
from jwt import PyJWKClient, PyJWKClientConnectionError
from jwt.types import Options

from shared.access.rules import TokenInvalid
from shared.kit.errors import Unavailable

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Rule 8: keys are kept a day at most; clocks may differ by a minute.
KEYS_LIFE_SECONDS = 24 * 3600
LEEWAY_SECONDS = 60
# An unknown key id makes us ask again, but not more often than this: no amplifier for strangers.
COOLDOWN_SECONDS = 30
# Our tokens have one to three kilobytes; anything larger is not worth parsing.
MAX_TOKEN_CHARACTERS = 16_384

_OPTIONS = Options(
    require=["exp", "nbf", "iat", "iss", "aud", "sub", "tid"],
    verify_iss=False,  # checked below: the issuer depends on the token's own tenant
)


class EntraKeys(PyJWKClient):
    """Signing keys that also remember which issuer each belongs to (rule 2)."""

    def __init__(self, authority: str, *, cooldown: float = COOLDOWN_SECONDS) -> None:
        super().__init__(
            f"{authority}/common/discovery/v2.0/keys",
            lifespan=KEYS_LIFE_SECONDS,
            timeout=10,
            cooldown_duration=cooldown,
        )
        self.issuers: dict[str, str] = {}

    def fetch_data(self) -> Any:
        """Fetch the key set; keys without an id or an issuer are useless to us."""
        data = super().fetch_data()
        self.issuers = {
            key["kid"]: key.get("issuer", "") for key in data.get("keys", []) if "kid" in key
        }
        return data


class TokenValidator:
    """Turns a bearer token into claims, or refuses; one per process."""

    def __init__(self, authority: str, audience: str, *, cooldown: float = COOLDOWN_SECONDS):
        self._authority = authority.rstrip("/")
        self._audience = audience
        self._keys = EntraKeys(self._authority, cooldown=cooldown)

    async def validate(self, token: str) -> dict[str, Any]:
        """The claims of a good token; `TokenInvalid`, or `Unavailable` without signing keys."""
        try:
            kid = self._key_id(token)
            # urllib blocks: only a look at keys already here may run on the event loop.
            if kid not in self._keys.issuers:
                await asyncio.to_thread(self._keys.get_signing_key, kid)
            key = await self._signing_key(kid)
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                audience=self._audience,
                leeway=LEEWAY_SECONDS,
                options=_OPTIONS,
            )
        except PyJWKClientConnectionError as offline:
            raise Unavailable("The sign-in service does not answer.", retryAfter=5) from offline
        except jwt.PyJWTError as refused:
            raise TokenInvalid(f"{refused}.") from refused
        self._check_issuer(kid, claims)
        return claims

    def _key_id(self, token: str) -> str:
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise TokenInvalid("The token is too long.")
        header = jwt.get_unverified_header(token)
        kid = header.get("kid")
        if header.get("alg") != "RS256" or not isinstance(kid, str):
            raise TokenInvalid("The token is not signed with RS256 by a named key.")
        return kid

    async def _signing_key(self, kid: str) -> Any:
        cache = self._keys.jwk_set_cache
        if cache is not None and cache.get() is not None:
            return self._keys.get_signing_key(kid).key
        return (await asyncio.to_thread(self._keys.get_signing_key, kid)).key

    def _check_issuer(self, kid: str, claims: dict[str, Any]) -> None:
        tenant = claims.get("tid")
        if not isinstance(tenant, str) or not GUID.fullmatch(tenant):
            raise TokenInvalid("The token's tenant (tid) is no GUID.")
        issuer = f"{self._authority}/{tenant}/v2.0"
        if claims["iss"] != issuer or claims.get("ver") != "2.0":
            raise TokenInvalid("The token's issuer is not its tenant, or it is no v2.0 token.")
        if self._keys.issuers.get(kid, "").replace("{tenantid}", tenant) != issuer:
            raise TokenInvalid("The signing key does not belong to the token's tenant.")
