"""Tables as workbooks: text stays text, numbers are numbers, and nothing is ever a formula."""

import io
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

MEDIA_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}}
}
Cell = str | int | Decimal | None


def document(sheet: str, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """One sheet, written row by row: memory does not grow with the rows."""
    import xlsxwriter  # type: ignore[import-untyped]  # heavy: only when a file is asked for

    content = io.BytesIO()
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(content, options) as book:
        page = book.add_worksheet(sheet)
        for column, name in enumerate(header):
            page.write_string(0, column, name)
        for line, row in enumerate(rows, 1):
            for column, cell in enumerate(row):
                if isinstance(cell, str):
                    page.write_string(line, column, cell)
                elif cell is not None:
                    page.write_number(line, column, float(cell))
    return content.getvalue()
