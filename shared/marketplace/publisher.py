"""Our own token for the marketplace: the single-tenant app of the publisher, without a secret."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.kit.clock import Clock
from shared.kit.config import MICROSOFT_AUTHORITY, Settings
from shared.marketplace.refusals import ChannelDown
from shared.marketplace.sender import MARKETPLACE_APP

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

EARLY = timedelta(minutes=5)
EXCHANGE_AUDIENCE = "api://AzureADTokenExchange/.default"


class PublisherToken:
    """Signs in with a certificate on one machine, with the managed identity in Azure."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._settings, self._clock = settings, clock
        self._token, self._until = "", datetime(1970, 1, 1, tzinfo=UTC)

    async def headers(self) -> dict[str, str]:
        """The Authorization header; `ChannelDown` when the sign-in fails."""
        if self._until - EARLY <= self._clock.now():
            from azure.core.exceptions import AzureError

            try:
                await self._sign_in()
            except AzureError as fault:
                raise ChannelDown(f"No sign-in as publisher: {fault.message[:300]}") from None
        return {"Authorization": f"Bearer {self._token}"}

    async def _sign_in(self) -> None:
        credential = await self._credential()
        try:
            got = await credential.get_token(f"{MARKETPLACE_APP}/.default")
        finally:
            await credential.close()
        self._token, self._until = got.token, datetime.fromtimestamp(got.expires_on, UTC)

    async def _credential(self) -> "AsyncTokenCredential":
        from azure.identity.aio import (
            CertificateCredential,
            ClientAssertionCredential,
            ManagedIdentityCredential,
        )

        given = self._settings
        authority = given.marketplace_authority or given.authority
        place: dict[str, Any] = {
            "authority": authority,
            "disable_instance_discovery": authority != MICROSOFT_AUTHORITY,
        }
        tenant, client = given.publisher_tenant_id, given.marketplace_client_id
        if given.client_credential is not None:
            return CertificateCredential(tenant, client, str(given.client_credential), **place)
        identity = ManagedIdentityCredential(client_id=given.identity_client_id or None)
        try:
            assertion = (await identity.get_token(EXCHANGE_AUDIENCE)).token
        finally:
            await identity.close()
        return ClientAssertionCredential(tenant, client, lambda: assertion, **place)
