"""Who calls the webhook of Microsoft's marketplace: an Entra token of the publisher's tenant.

Tokens of both versions arrive, with either issuer (marketplace-auth.md 1.5). The body is never
believed for itself, but a stranger is not even heard.
"""

import asyncio
from typing import Any

from shared.kit.errors import Unavailable
from shared.marketplace.refusals import CallerForeign, CallerUnproven

MARKETPLACE_APP = "20e940b3-4c77-4b0b-9a53-9e16a1b010a7"
KEYS_LIFE_SECONDS = 24 * 3600
LEEWAY_SECONDS = 60
COOLDOWN_SECONDS = 30.0
MAX_TOKEN_CHARACTERS = 16_384
_REQUIRED = ["exp", "nbf", "iss", "aud"]


class MarketplaceSender:
    """Checks the bearer token of a webhook; one per process."""

    def __init__(
        self, authority: str, tenant_id: str, audience: str, *, cooldown: float = COOLDOWN_SECONDS
    ) -> None:
        from jwt import PyJWKClient  # late: every other function starts without it

        base = f"{authority.rstrip('/')}/{tenant_id}"
        self._tenant, self._audience = tenant_id, audience
        self._issuers = {f"{base}/v2.0", f"https://sts.windows.net/{tenant_id}/"}
        self._keys = PyJWKClient(
            f"{base}/discovery/v2.0/keys",
            lifespan=KEYS_LIFE_SECONDS,
            timeout=5,
            cooldown_duration=cooldown,
        )

    async def check(self, authorization: str) -> dict[str, Any]:
        """The claims; `CallerUnproven` (401), `CallerForeign` (403), `Unavailable` without keys."""
        import jwt

        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token or len(token) > MAX_TOKEN_CHARACTERS:
            raise CallerUnproven("Send 'Authorization: Bearer <token>'.")
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") != "RS256" or not isinstance(header.get("kid"), str):
                raise CallerUnproven("The token is not signed with RS256 by a named key.")
            # urllib blocks: only a look at keys that are here already may run on the loop.
            key = await asyncio.to_thread(self._keys.get_signing_key, header["kid"])
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=["RS256"],
                audience=self._audience,
                leeway=LEEWAY_SECONDS,
                options={"require": _REQUIRED, "verify_iss": False},
            )
        except jwt.PyJWKClientConnectionError as offline:
            raise Unavailable("The sign-in service does not answer.", retryAfter=5) from offline
        except jwt.PyJWTError as refused:
            raise CallerUnproven(f"{refused}.") from refused
        self._check_caller(claims)
        return claims

    def _check_caller(self, claims: dict[str, Any]) -> None:
        if claims.get("tid") != self._tenant or claims["iss"] not in self._issuers:
            raise CallerForeign("The token is of another tenant.")
        caller = claims.get("appid") if claims.get("ver") == "1.0" else claims.get("azp")
        if caller != MARKETPLACE_APP:
            raise CallerForeign("The token is not the marketplace's.")
