"""Rows of the table "Billing", by partner: versions of price books, profiles, billed customers.

book~{book}~{version}    one version; appended, never replaced
profile~{profile}        a billing profile
customer~{customer}      how a customer is billed
"""

from collections.abc import Iterable

from shared.access.model import Scope
from shared.billing.model import BilledCustomer, KeptBook, PriceBook, Profile
from shared.billing.refusals import CurrencyFixed, ProfileUnknown
from shared.kit.clock import Clock
from shared.kit.errors import NotFound
from shared.kit.etags import strong_etag
from shared.kit.puts import UNWRITTEN, put
from shared.kit.tables import LostRace, Row, RowExists, Table

TABLE = "Billing"
DEFAULT = "default"
"""The profile of customers that name none."""
_PART = 20
"""Prices in one property of a row: far below what it can hold."""


class Prices:
    """Everything stored about prices; each verb takes the scope first."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table, self._clock = table, clock

    async def add_version(
        self, scope: Scope, book: PriceBook, *, name: str, valid_from: str, by: str
    ) -> KeptBook:
        """Append the next version of a book; `CurrencyFixed`, `LostRace` beside another one."""
        before = await self.versions(scope, book.book_id)
        if before and before[-1].book.currency != book.currency:
            raise CurrencyFixed(
                f"The book is in {before[-1].book.currency}; make another one.", pointer="/currency"
            )
        kept = KeptBook(
            book=book.model_copy(update={"version": len(before) + 1}),
            name=name,
            valid_from=valid_from,
            made_at=self._clock.now(),
            made_by=by,
        )
        key = f"book~{book.book_id}~{kept.book.version:05}"
        try:
            await self._table.insert(Row(scope.partner_id, key, _values(kept)))
        except RowExists as lost:
            raise LostRace("Somebody has just made a version of this book.") from lost
        return kept

    async def versions(self, scope: Scope, book_id: str = "") -> list[KeptBook]:
        """Versions by book and number, all or those of one book."""
        prefix = f"book~{book_id}~" if book_id else "book~"
        return [_kept(row) async for row in self._table.query(scope.partner_id, prefix=prefix)]

    async def version(self, scope: Scope, reference: str) -> KeptBook:
        """One version by `{book}/{version}`; `NotFound`."""
        book_id, _, number = reference.rpartition("/")
        row = await self._table.find(scope.partner_id, f"book~{book_id}~{int(number):05}")
        if row is None:
            raise NotFound(f"There is no price book {reference[:80]!r}.")
        return _kept(row)

    async def put_profile(self, scope: Scope, profile: Profile, if_match: str | None = None) -> str:
        """Make it, or replace it under its ETag; the new one.

        `ProfileUnknown` when its price book is not there; 428 and 412 as `shared.kit.puts`.
        """
        if not await self.versions(scope, profile.book_id):
            raise ProfileUnknown("Make the price book first.", pointer="/bookId")
        values = profile.model_dump(mode="json")
        row = Row(scope.partner_id, f"profile~{profile.profile_id}", values)
        return await put(self._table, row, if_match)

    async def profile(self, scope: Scope, profile_id: str) -> tuple[Profile, str]:
        """One profile and its strong ETag; `NotFound`."""
        row = await self._table.find(scope.partner_id, f"profile~{profile_id}")
        if row is None:
            raise NotFound(f"There is no billing profile {profile_id[:64]!r}.")
        return Profile.model_validate(row.values), strong_etag(row.etag)

    async def profiles(self, scope: Scope) -> dict[str, Profile]:
        """Profiles by id."""
        rows = self._table.query(scope.partner_id, prefix="profile~")
        found = [Profile.model_validate(row.values) async for row in rows]
        return {each.profile_id: each for each in found}

    async def billed(self, scope: Scope, customer_id: str) -> tuple[BilledCustomer, str]:
        """How a customer is billed, and the strong ETag of that.

        Nothing said: by the default profile, without reports.
        """
        row = await self._table.find(scope.partner_id, f"customer~{customer_id}")
        if row is None:
            return BilledCustomer(), UNWRITTEN
        return BilledCustomer.model_validate(row.values), strong_etag(row.etag)

    async def all_billed(self, scope: Scope) -> dict[str, BilledCustomer]:
        """By customer: those of whom something was said."""
        rows = self._table.query(scope.partner_id, prefix="customer~")
        return {
            row.key.removeprefix("customer~"): BilledCustomer.model_validate(row.values)
            async for row in rows
        }

    async def set_billed(
        self, scope: Scope, customer_id: str, billed: BilledCustomer, if_match: str | None
    ) -> str:
        """Say how a customer is billed, under the ETag of what was said; the new one.

        `ProfileUnknown`; 428 and 412 as `shared.kit.puts`.
        """
        if billed.profile_id and billed.profile_id not in await self.profiles(scope):
            raise ProfileUnknown("Choose one of the billing profiles.", pointer="/profileId")
        row = Row(scope.partner_id, f"customer~{customer_id}", billed.model_dump(mode="json"))
        return await put(self._table, row, if_match, has_defaults=True)


def valid_in(versions: Iterable[KeptBook], book_id: str, month: str) -> PriceBook | None:
    """The version of a month: of those begun the one that began last, then the newest."""
    begun = [each for each in versions if each.book.book_id == book_id and each.valid_from <= month]
    newest = max(begun, key=lambda each: (each.valid_from, each.book.version), default=None)
    return newest.book if newest else None


def _values(kept: KeptBook) -> dict[str, object]:
    """A row's values; prices are spread over several properties."""
    values = kept.model_dump(mode="json")
    prices = sorted(values["book"].pop("prices").items())
    for part, start in enumerate(range(0, len(prices), _PART)):
        values[f"prices{part}"] = dict(prices[start : start + _PART])
    return values


def _kept(row: Row) -> KeptBook:
    values = dict(row.values)
    prices: dict[str, object] = {}
    for name in [name for name in values if name.startswith("prices")]:
        prices |= values.pop(name)
    values["book"] = values["book"] | {"prices": prices}
    return KeptBook.model_validate(values)
