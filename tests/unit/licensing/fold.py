"""What the ledger has told so far, carried on from step to step."""

from dataclasses import dataclass, field
from functools import cached_property

from shared.licensing import ledger, rows
from shared.licensing.book import Book, parsed
from tests.unit.licensing.world import World


@dataclass
class Fold:
    """One partner's ledger and its books in the store, each read again only after a change."""

    world: World
    seq: int = 0
    hash: str = ledger.GENESIS
    told: ledger.Rows = field(default_factory=dict)
    commands: set[str] = field(default_factory=set)
    _agreed: int = -1
    _seen: tuple[int, object] = (-1, None)

    @cached_property
    def partner(self) -> str:
        return self.world.scope.partner_id

    def carry_on(self) -> None:
        """Read on, and check the chain with it."""
        while row := self.world.table.rows.get((self.partner, rows.event_key(self.seq + 1))):
            event = rows.to_event(row)
            assert (event.seq, event.previous) == (self.seq + 1, self.hash)
            assert event.hash == ledger.hash_of(event)
            self.seq, self.hash = event.seq, event.hash
            self.commands.add(event.command)
            ledger.apply(self.told, event)

    def check(self) -> None:
        """The store says what the ledger says, whoever has written to it."""
        self.carry_on()
        if self._agreed != self.world.table.version:
            book = self.book
            assert parsed(self.told) == (dict(book.pools), dict(book.subs), dict(book.guards))
            self._agreed = self.world.table.version

    @property
    def book(self) -> Book:
        """The books in the store."""
        now = (self.world.table.version, self.world.clock.now())
        if self._seen != now:
            self._seen, self._book = now, self._read()
        return self._book

    def _read(self) -> Book:
        table = self.world.table
        own = [table.rows[self.partner, key] for key in table.keys[self.partner]]
        pools = [rows.to_pool(row) for row in own if row.key.startswith("pool~")]
        subs, guards = rows.divided(row for row in own if row.key.startswith("sub~"))
        return Book(
            self.world.ledgers.catalogue,
            self.world.clock.now().date(),
            {pool.pool_id: pool for pool in pools},
            {sub.key: sub for sub in subs},
            {guard.customer_id: guard for guard in guards},
        )
