"""Which channels this deployment has, each with its adapter: the same verbs for all."""

from collections.abc import AsyncIterator
from typing import Protocol

from shared.kit.clock import Clock
from shared.kit.config import Settings
from shared.marketplace.cloudblue import CloudBlue
from shared.marketplace.http import Caller
from shared.marketplace.microsoft import Microsoft
from shared.marketplace.model import (
    CLOUDBLUE,
    MICROSOFT,
    Asked,
    ChannelAnswer,
    ChannelEvent,
    ChannelSubscription,
    Hook,
    Unreadable,
    UsageRecord,
    UsageResult,
)
from shared.marketplace.publisher import PublisherToken
from shared.marketplace.refusals import ChannelOff
from shared.marketplace.repository import Orders
from shared.marketplace.sender import MarketplaceSender
from shared.marketplace.signed import Keys, Signed

SIGNED = "signed"


class Adapter(Protocol):
    """What a channel can be asked (marketplace-auth.md 2.4)."""

    source: str

    async def verify_and_parse(self, hook: Hook) -> ChannelEvent:
        """A proven delivery as an event; `CallerUnproven`, `CallerForeign`."""

    async def note(self, event: ChannelEvent) -> None:
        """Keep what the event itself tells, where there is nobody to ask."""

    async def fetch(self, external_id: str) -> ChannelSubscription | None:
        """The truth now; None for what the channel does not know."""

    async def asked(self, event: ChannelEvent) -> Asked | None:
        """The change that waits for our answer, as the channel states it."""

    async def answer(self, answer: ChannelAnswer) -> bool:
        """Tell the channel; False when it was settled otherwise."""

    async def activate(self, truth: ChannelSubscription) -> None:
        """Begin what was bought."""

    def list_all(self) -> AsyncIterator[ChannelSubscription | Unreadable]:
        """Everything the channel has, for reconciliation."""

    async def report_usage(self, records: list[UsageRecord]) -> list[UsageResult]:
        """Tell what was used; one result per record."""

    async def close(self) -> None:
        """End the connections."""


class Channels:
    """The adapters of one process."""

    def __init__(self, settings: Settings, clock: Clock, orders: Orders) -> None:
        self._settings, self._clock, self._orders = settings, clock, orders
        self.keys = Keys(orders.table)
        self._made: dict[str, Adapter] = {}

    @property
    def asked(self) -> list[str]:
        """Channels that can be asked: those with settings."""
        given = self._settings
        found = [MICROSOFT] if given.publisher_tenant_id else []
        return [*found, CLOUDBLUE] if given.cloudblue_key else found

    def adapter(self, source: str) -> Adapter:
        """The adapter; `ChannelOff` (404) for a marketplace without settings."""
        made = self._made.get(source)
        if made is None:
            made = self._made[source] = self._make(source)
        return made

    def microsoft(self) -> Microsoft:
        """Microsoft's marketplace, which alone has landing pages and hourly meters."""
        found = self.adapter(MICROSOFT)
        assert isinstance(found, Microsoft)
        return found

    def cloudblue(self) -> CloudBlue:
        """CloudBlue Connect, which alone is polled for requests."""
        found = self.adapter(CLOUDBLUE)
        assert isinstance(found, CloudBlue)
        return found

    async def sources(self) -> list[str]:
        """Every source that may have sent something."""
        sellers = {key.source for key in await self.keys.list_all()}
        return [*self.asked, *sorted(sellers)]

    async def close(self) -> None:
        """End the connections of all."""
        for made in self._made.values():
            await made.close()
        self._made.clear()

    def _make(self, source: str) -> Adapter:
        given, clock = self._settings, self._clock
        if source == MICROSOFT:
            if not given.publisher_tenant_id:
                raise ChannelOff("Microsoft's marketplace is not configured.")
            authority = given.marketplace_authority or given.authority
            sender = MarketplaceSender(
                authority, given.publisher_tenant_id, given.marketplace_client_id
            )
            token = PublisherToken(given, clock)
            return Microsoft(sender, Caller(given.marketplace, token.headers), clock)
        if source == CLOUDBLUE:
            if given.cloudblue_key is None:
                raise ChannelOff("CloudBlue Connect is not configured.")
            key = given.cloudblue_key.get_secret_value()

            async def headers() -> dict[str, str]:
                return {"Authorization": f"ApiKey {key}"}

            secret = given.cloudblue_hook_secret
            return CloudBlue(
                Caller(given.cloudblue, headers),
                secret.get_secret_value() if secret else "",
                given.cloudblue_template,
                clock,
            )
        return Signed(source, self.keys, self._orders.table, given.public_url, clock)
