"""Writing into a partner's ledger what arrives there late."""

from shared.access.model import Scope
from shared.bootstrap import Deps
from shared.licensing import rows
from shared.licensing.ledger import Event, sealed
from shared.licensing.repository import TABLE


async def plant(deps: Deps, scope: Scope, event: Event) -> None:
    """Append an event, recorded now whenever it took effect, as a channel's late message does."""
    head, etag = await deps.ledgers._head(scope.partner_id)
    written = sealed(event, seq=head.seq + 1, previous=head.hash, recorded=deps.clock.now())
    moved = head.model_copy(update={"seq": written.seq, "hash": written.hash})
    await deps.tables[TABLE].batch(
        [
            ("insert", rows.event_row(scope.partner_id, written)),
            ("replace", rows.head_row(moved, etag)),
        ]
    )
