"""App tokens for customer tenants: azure-identity signs in, AADSTS errors become our states.

No secret exists: in Azure the managed identity vouches for the app (federated credential), on one
machine a certificate does (marketplace-auth.md 3.4). Tokens are never logged.
"""

import asyncio
import base64
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from shared.kit.clock import Clock, SystemClock
from shared.kit.config import MICROSOFT_AUTHORITY, MICROSOFT_GRAPH, Settings
from shared.microsoft365.errors import (
    ConsentLost,
    GraphError,
    OurCredentialRefused,
    SignInUnavailable,
)
from shared.microsoft365.wire import Wire, default_wire

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

# A token this close to its end is replaced, so that none dies inside a request.
EARLY_EXPIRY = timedelta(seconds=120)
GRAPH_SCOPE = MICROSOFT_GRAPH + "/.default"
EXCHANGE_AUDIENCE = "api://AzureADTokenExchange/.default"

# marketplace-auth.md 3.5
CONSENT_STATES = {
    65001: "invited", 90094: "invited", 65004: "denied", 50020: "denied", 50177: "denied",
    650051: "degraded", 650052: "degraded", 650057: "degraded",
    700016: "revoked", 7000229: "revoked", 7000112: "revoked",
    53003: "blocked", 530035: "blocked",
    5000224: "tenant_gone", 90002: "tenant_gone", 900023: "tenant_gone",
}  # fmt: skip
OUR_FAULTS = frozenset({7000215, 7000222, 50013, 700211, 700212, 700213, 700024})
# A certificate that was rotated a moment ago is not known everywhere yet.
LATER = frozenset({700027})
_AADSTS = re.compile(r"AADSTS(\d+)")


class AppToken(msgspec.Struct, frozen=True):
    """An app-only token of one tenant; its text form hides the secret."""

    token: str
    roles: frozenset[str]
    expires: datetime
    tenant_id: str

    def __repr__(self) -> str:
        return f"AppToken(tenant_id={self.tenant_id!r}, expires={self.expires.isoformat()})"

    __str__ = __repr__


class TokenSource(Protocol):
    """Where the transport gets its tokens."""

    async def get(self, tenant_id: str, client_id: str, *, fresh: bool = False) -> AppToken:
        """A token that is good for at least two minutes; raises as `Tokens.get`."""
        ...

    async def renew(self, tenant_id: str, client_id: str, dead: AppToken) -> AppToken:
        """Another token than `dead`, which was refused."""
        ...


def sign_in_error(text: str) -> GraphError:
    """Pure: the state an AADSTS error text stands for (marketplace-auth.md 3.5)."""
    found = _AADSTS.search(text)
    code = int(found[1]) if found else 0
    if code in CONSENT_STATES:
        return ConsentLost(CONSENT_STATES[code], code)
    if code in OUR_FAULTS:
        return OurCredentialRefused(code)
    if code in LATER or code == 0:
        return SignInUnavailable(code)
    return ConsentLost("degraded", code)


def claims_of(token: str) -> dict[str, Any]:
    """The claims of a token we received from its issuer over TLS; nothing is verified here."""
    body = token.split(".")[1]
    decoded = msgspec.json.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return decoded if isinstance(decoded, dict) else {}


class Tokens:
    """App tokens by tenant and application: cached, one sign-in at a time per key.

    Errors of `get`: ConsentLost, OurCredentialRefused, SignInUnavailable. `get(fresh=True)`
    passes every cache by, as is needed after a grant (M40).
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock | None = None,
        wire: Wire | None = None,
        credential: "Callable[[str, str], AsyncTokenCredential] | None" = None,
    ) -> None:
        self._settings = settings
        self._clock = clock or (wire.clock if wire else SystemClock())
        self._wire = wire
        self._credential = credential or self._make_credential
        self._held: dict[tuple[str, str], AppToken] = {}
        self._locks: dict[tuple[str, str], asyncio.Lock] = {}
        self._identity: Any = None

    async def get(self, tenant_id: str, client_id: str, *, fresh: bool = False) -> AppToken:
        """A token good for at least two more minutes."""
        key = (tenant_id, client_id)
        held = self._held.get(key)
        if not fresh and held is not None and self._is_good(held):
            return held
        async with self._locks.setdefault(key, asyncio.Lock()):
            now_held = self._held.get(key)
            # Somebody else signed in while we waited for the lock.
            if now_held is not None and now_held is not held and self._is_good(now_held):
                return now_held
            self._held.pop(key, None)
            token = self._held[key] = await self._sign_in(tenant_id, client_id)
            return token

    async def renew(self, tenant_id: str, client_id: str, dead: AppToken) -> AppToken:
        """Another token than `dead`: several callers with the same dead token sign in once."""
        held = self._held.get((tenant_id, client_id))
        if held is dead:
            return await self.get(tenant_id, client_id, fresh=True)
        return await self.get(tenant_id, client_id)

    def forget(self, tenant_id: str) -> None:
        """Drop the tokens of a tenant, after a grant or a revocation."""
        for key in [key for key in self._held if key[0] == tenant_id]:
            del self._held[key]

    async def close(self) -> None:
        """Forget everything."""
        self._held.clear()
        if self._identity is not None:
            await self._identity.close()
            self._identity = None

    def _is_good(self, token: AppToken) -> bool:
        return token.expires - EARLY_EXPIRY > self._clock.now()

    async def _sign_in(self, tenant_id: str, client_id: str) -> AppToken:
        from azure.core.exceptions import AzureError

        if self._settings.client_credential is None:
            await self._vouch()
        # A new credential for each sign-in: the cache is ours, azure-identity's would hide a grant.
        credential = self._credential(tenant_id, client_id)
        try:
            got = await credential.get_token(GRAPH_SCOPE)
        except AzureError as error:
            raise sign_in_error(str(error)) from None
        finally:
            await credential.close()
        claims = claims_of(got.token)
        return AppToken(
            token=got.token,
            roles=frozenset(claims.get("roles", ())),
            expires=datetime.fromtimestamp(got.expires_on, UTC),
            tenant_id=str(claims.get("tid", "")),
        )

    async def _vouch(self) -> None:
        """Fetch the managed identity's assertion; its own cache keeps this cheap."""
        from azure.identity.aio import ManagedIdentityCredential

        if self._identity is None:
            self._identity = ManagedIdentityCredential(
                client_id=self._settings.identity_client_id or None
            )
        self._assertion = (await self._identity.get_token(EXCHANGE_AUDIENCE)).token

    def _make_credential(self, tenant_id: str, client_id: str) -> "AsyncTokenCredential":
        from azure.core.pipeline.transport import AioHttpTransport
        from azure.identity.aio import CertificateCredential, ClientAssertionCredential

        session = (self._wire or default_wire()).session
        place: dict[str, Any] = {
            # The process's one session (M3): its connections, and the trust it was opened with.
            "transport": AioHttpTransport(session=session, session_owner=False),
            "authority": self._settings.authority,
            "disable_instance_discovery": self._settings.authority != MICROSOFT_AUTHORITY,
        }
        path = self._settings.client_credential
        if path is not None:
            return CertificateCredential(tenant_id, client_id, str(path), **place)
        return ClientAssertionCredential(tenant_id, client_id, lambda: self._assertion, **place)
