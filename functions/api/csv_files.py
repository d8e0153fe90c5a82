"""Tables as CSV that a spreadsheet shows and never runs."""

import csv
import io
import zipfile
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

MEDIA_TYPE = "text/csv"
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}
}
# A cell that begins so is a formula to a spreadsheet (OWASP: CSV injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# A fixed time makes the same content the same bytes, and so the same ETag.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)

Cell = str | int | Decimal | None


def safe(cell: Cell) -> str | int:
    """The cell; text that would be a formula gets an apostrophe in front, a number does not."""
    if cell is None:
        return ""
    if isinstance(cell, Decimal):
        return f"{cell:f}"
    if isinstance(cell, str) and cell.lstrip(" ").startswith(_FORMULA):
        return f"'{cell}"
    return cell


def document(header: Iterable[str], rows: Iterable[Iterable[Cell]]) -> bytes:
    """RFC 4180 in UTF-8."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows([safe(cell) for cell in row] for row in rows)
    return text.getvalue().encode()


def zipped(name: str, data: bytes) -> bytes:
    """A ZIP with one file."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        info = zipfile.ZipInfo(name, _ZIP_TIME)
        info.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(info, data)
    return packed.getvalue()
