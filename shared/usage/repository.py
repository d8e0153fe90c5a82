"""Rows of usage: days by partner and month, months, reports; large content lies in blobs."""

import hashlib
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import orjson

from shared.access.model import Scope
from shared.billing.model import Adjustment
from shared.kit.blobs import BlobExists, BlobStore
from shared.kit.errors import NotFound
from shared.kit.etags import strong_etag
from shared.kit.puts import put
from shared.kit.tables import LostRace, Row, RowExists, Table
from shared.usage.days import Day
from shared.usage.model import Agreement, Correction, Report, SaasLine
from shared.usage.rules import month_of

DAYS, MONTHS = "UsageDays", "UsageMonths"
CONTAINER = "usage"
_BATCH = 100
_SUSPENSION = "suspension"
_MONTH, _REPORT, _AGREEMENT, _AMENDMENT = "month~", "report~", "agreement~", "amendment~"
_UNPRICED = "unpriced~"
MOST_AMENDMENTS = 90
"""That one commit can bill beside the month and its report; the next month bills the rest."""


@dataclass(frozen=True, slots=True)
class Amendment:
    """What was found wrong with a closed month at one time; numbered within month and kind."""

    month: str
    kind: str
    """`usage`: the partner's quantities; `resale`: what its customers were billed."""
    number: int
    adjustments: tuple[Adjustment, ...]
    billed_in: str = ""
    """The month whose report or invoices carry it; empty until then."""
    row: Row | None = None

    @property
    def key(self) -> str:
        """Its row."""
        return f"{_AMENDMENT}{self.kind}~{self.month}~{self.number:04}"


class UsageRows:
    """Everything stored about usage; each verb takes the scope first."""

    def __init__(self, days: Table, months: Table, blobs: BlobStore) -> None:
        self._days, self._months, self._blobs = days, months, blobs

    async def put_days(self, scope: Scope, days: Iterable[Day]) -> None:
        """Write days; a later measurement of the same day replaces it: 100 in a transaction."""
        rows: dict[str, list[Row]] = {}
        for day in days:
            values = day.model_dump(mode="json", exclude={"customer_id", "day"})
            row = Row(self._partition(scope, day.day), _day_key(day), values)
            rows.setdefault(row.partition, []).append(row)
        for each in rows.values():
            for start in range(0, len(each), _BATCH):
                await self._days.batch([("upsert", row) for row in each[start : start + _BATCH]])

    async def days(self, scope: Scope, month: date, customer_id: str = "") -> list[Day]:
        """The month's days inside the scope, by customer and day: one partition read."""
        prefix = f"{customer_id}~" if customer_id else ""
        partition = self._partition(scope, month)
        return [
            _day(row)
            async for row in self._days.query(partition, prefix=prefix)
            if scope.covers(row.key.partition("~")[0])
        ]

    async def put_content(self, content: bytes) -> str:
        """Keep bytes under their SHA-256; the same bytes are kept once."""
        name = hashlib.sha256(content).hexdigest()
        try:
            await self._blobs.put(name, content)
        except BlobExists:
            return name
        return name

    async def content(self, name: str) -> bytes:
        """Bytes by their SHA-256; `BlobMissing`."""
        return await self._blobs.get(name)

    async def part(self, name: str, offset: int, length: int) -> bytes:
        """A range of kept bytes."""
        return await self._blobs.get(name, offset, length)

    async def find_month(self, scope: Scope, month: str) -> dict[str, Any] | None:
        """What is noted of a month: closed content and hashes, or what holds it up."""
        row = await self._months.find(scope.partner_id, _MONTH + month)
        return row.values if row else None

    async def note_blocked(
        self, scope: Scope, month: str, unknown: dict[str, dict[str, str]]
    ) -> None:
        """Note what holds a month up; never over a closed one."""
        values = {
            "state": "Blocked",
            "unknown": await self.put_content(orjson.dumps(unknown, option=orjson.OPT_SORT_KEYS)),
        }
        row = await self._months.find(scope.partner_id, _MONTH + month)
        if row is None:
            try:
                await self._months.insert(Row(scope.partner_id, _MONTH + month, values))
            except RowExists:
                return
        elif row.values.get("state") != "Closed":
            row.values = values
            try:
                await self._months.replace(row)
            except LostRace:
                return

    async def unknown(self, noted: dict[str, Any]) -> dict[str, dict[str, str]]:
        """What holds a noted month up: customer -> what could not be read, and why."""
        if noted.get("state") != "Blocked":
            return {}
        found: dict[str, dict[str, str]] = orjson.loads(await self.content(noted["unknown"]))
        return found

    async def close_month(
        self,
        scope: Scope,
        month: str,
        values: dict[str, Any],
        report: Report,
        used: Sequence[Amendment] = (),
    ) -> bool:
        """Commit the closed month, its report and what it makes good of earlier ones together.

        False when it was closed already, or an amendment was billed elsewhere meanwhile.
        """
        saas = await self.put_content(_large(report))
        old = await self._months.find(scope.partner_id, _MONTH + month)
        if old is not None and old.values.get("state") == "Closed":
            return False
        closed = Row(scope.partner_id, _MONTH + month, values, old.etag if old else "")
        verb = "replace" if old else "insert"
        changes = [(verb, closed), ("insert", _report_row(report, saas)), *_billed(used, month)]
        try:
            await self._months.batch(changes)
        except LostRace:
            return False
        return True

    async def note_once(
        self,
        scope: Scope,
        key: str,
        values: dict[str, Any],
        month: str = "",
        used: Sequence[Amendment] = (),
    ) -> bool:
        """Write a row that nobody may write twice, and what it bills; False when it is there."""
        try:
            await self._months.batch(
                [("insert", Row(scope.partner_id, key, values)), *_billed(used, month)]
            )
        except LostRace:
            return False
        return True

    async def noted(self, scope: Scope, key: str) -> dict[str, Any] | None:
        """A row written by `note_once`."""
        row = await self._months.find(scope.partner_id, key)
        return row.values if row else None

    async def note_unpriced(self, scope: Scope, month: str, items: Sequence[str]) -> None:
        """Remember which items of a closed month have no price; with none it is forgotten."""
        key = _UNPRICED + month
        if items:
            await self._months.upsert(Row(scope.partner_id, key, {"items": sorted(items)}))
        else:
            await self._months.delete(scope.partner_id, key)

    async def unpriced(self, scope: Scope) -> dict[str, list[str]]:
        """Month -> what `note_unpriced` was told of it last."""
        rows = self._months.query(scope.partner_id, prefix=_UNPRICED)
        return {row.key.removeprefix(_UNPRICED): row.values["items"] async for row in rows}

    async def months(self, scope: Scope) -> list[tuple[str, dict[str, Any]]]:
        """Every noted month, oldest first."""
        rows = self._months.query(scope.partner_id, prefix=_MONTH)
        return [(row.key.removeprefix(_MONTH), row.values) async for row in rows]

    async def report(self, scope: Scope, month: str) -> tuple[Report, str]:
        """The month's report and its ETag; `NotFound`."""
        row = await self._months.find(scope.partner_id, _REPORT + month)
        if row is None:
            raise NotFound(f"There is no usage report of {month[:16]}.")
        return await self._read_report(row), row.etag

    async def reports(self, scope: Scope) -> list[Report]:
        """Every report without what is per customer, oldest first: one partition read."""
        rows = self._months.query(scope.partner_id, prefix=_REPORT)
        return [_report(row, {}) async for row in rows]

    async def save_report(self, scope: Scope, report: Report, etag: str) -> str:
        """Replace under the ETag; `LostRace`. The SaaS lines stay as they were collected."""
        row = await self._months.get(scope.partner_id, _REPORT + report.month)
        changed = _report_row(report, row.values["saas"])
        changed.etag = etag
        return (await self._months.replace(changed)).etag

    async def agreements(self, scope: Scope) -> list[Agreement]:
        """The partner's rental agreements."""
        rows = self._months.query(scope.partner_id, prefix=_AGREEMENT)
        return [Agreement.model_validate(row.values) async for row in rows]

    async def agreement(self, scope: Scope, number: str) -> tuple[Agreement, str]:
        """One rental agreement and its strong ETag; `NotFound`."""
        row = await self._months.find(scope.partner_id, _AGREEMENT + number)
        if row is None:
            raise NotFound(f"There is no rental agreement {number[:64]!r}.")
        return Agreement.model_validate(row.values), strong_etag(row.etag)

    async def put_agreement(
        self, scope: Scope, agreement: Agreement, if_match: str | None = None
    ) -> str:
        """Make an agreement, or replace it under its ETag; the new one.

        Closed months keep what they were closed with. 428 and 412 as `shared.kit.puts`.
        """
        values = agreement.model_dump(mode="json")
        row = Row(scope.partner_id, _AGREEMENT + agreement.number, values)
        return await put(self._months, row, if_match)

    async def was_suspended(self, scope: Scope) -> bool:
        """Whether overdue reports have suspended the partner's licence management."""
        row = await self._months.find(scope.partner_id, _SUSPENSION)
        return row is not None and bool(row.values["suspended"])

    async def note_suspended(self, scope: Scope, *, suspended: bool) -> None:
        """Remember what was done to the partner's licence management."""
        await self._months.upsert(Row(scope.partner_id, _SUSPENSION, {"suspended": suspended}))

    async def add_amendment(self, scope: Scope, found: Amendment) -> bool:
        """Keep the adjustments found for a closed month; False when the number is taken."""
        made = [each.model_dump(mode="json") for each in found.adjustments]
        name = await self.put_content(orjson.dumps(made, option=orjson.OPT_SORT_KEYS))
        values = {"content": name, "billed_in": found.billed_in}
        try:
            await self._months.insert(Row(scope.partner_id, found.key, values))
        except RowExists:
            return False
        return True

    async def amendments(
        self, scope: Scope, month: str = "", *, kind: str = "usage"
    ) -> AsyncIterator[Amendment]:
        """Adjustments of one kind by month and number, all or those of one month."""
        prefix = f"{_AMENDMENT}{kind}~" + (f"{month}~" if month else "")
        async for row in self._months.query(scope.partner_id, prefix=prefix):
            _, _, of, number = row.key.split("~")
            content = orjson.loads(await self.content(row.values["content"]))
            made = tuple(Adjustment.model_validate(each) for each in content)
            yield Amendment(of, kind, int(number), made, row.values["billed_in"], row)

    async def _read_report(self, row: Row) -> Report:
        large = orjson.loads(await self.content(row.values["saas"]))
        return _report(row, large)

    @staticmethod
    def _partition(scope: Scope, day: date) -> str:
        return f"{scope.partner_id}~{month_of(day)}"


def _day_key(day: Day) -> str:
    return f"{day.customer_id}~{day.day}"


def _day(row: Row) -> Day:
    customer_id, _, day = row.key.partition("~")
    return Day.model_validate({"customer_id": customer_id, "day": day, **row.values})


def _billed(used: Sequence[Amendment], month: str) -> list[tuple[str, Row]]:
    changes = []
    for each in used:
        row = each.row or Row("", "")
        values = row.values | {"billed_in": month}
        changes.append(("replace", Row(row.partition, row.key, values, row.etag)))
    return changes


def _large(report: Report) -> bytes:
    """What of a report grows with the customers: too much for a row."""
    saas = [line.model_dump(mode="json") for line in report.saas]
    corrections = [each.model_dump(mode="json") for each in report.corrections]
    return orjson.dumps({"saas": saas, "corrections": corrections}, option=orjson.OPT_SORT_KEYS)


def _report_row(report: Report, saas: str) -> Row:
    values = report.model_dump(mode="json", exclude={"saas", "corrections"}) | {"saas": saas}
    return Row(report.partner_id, _REPORT + report.month, values)


def _report(row: Row, large: dict[str, Any]) -> Report:
    per_customer = {
        "saas": tuple(SaasLine.model_validate(each) for each in large.get("saas", ())),
        "corrections": tuple(
            Correction.model_validate(each) for each in large.get("corrections", ())
        ),
    }
    return Report.model_validate(row.values | per_customer)
