"""The workbook in which CloudBlue Connect takes usage: one row per record."""

import io
from datetime import timedelta

from shared.kit.clock import to_text
from shared.marketplace.model import UsageRecord

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
SHEET = "usage_records"
COLUMNS = (
    "record_id", "item_search_criteria", "item_search_value", "quantity", "start_time_utc",
    "end_time_utc", "asset_search_criteria", "asset_search_value",
)  # fmt: skip


def usage(records: list[UsageRecord]) -> bytes:
    """The file's bytes. Text is written as text: nothing in it is ever a formula."""
    import xlsxwriter  # type: ignore[import-untyped]  # heavy: only when a month is reported

    content = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(content, options) as book:
        sheet = book.add_worksheet(SHEET)
        sheet.write_row(0, 0, COLUMNS)
        for line, record in enumerate(records, 1):
            sheet.write_row(line, 0, row_of(record))
    return content.getvalue()


def row_of(record: UsageRecord) -> list[str | float]:
    """One record; its id is the same for the same resource, meter and hour."""
    start = to_text(record.hour)
    return [
        f"{record.external_id}:{record.dimension}:{start}",
        "item.mpn",
        record.dimension,
        float(record.quantity),
        start,
        to_text(record.until or record.hour + timedelta(hours=1)),
        "asset.id",
        record.external_id,
    ]
