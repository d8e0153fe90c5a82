"""A PUT that makes one row or replaces it: decided on what was read, whoever writes beside it."""

from shared.kit.errors import PreconditionFailed
from shared.kit.etags import check_if_match, strong_etag
from shared.kit.tables import LostRace, Row, RowExists, Table, put_over

UNWRITTEN = strong_etag("")
"""ETag of a setting that has its defaults because nobody wrote it yet."""


async def put(table: Table, row: Row, if_match: str | None, *, has_defaults: bool = False) -> str:
    """Write the row; its new strong ETag.

    What is there is replaced under its ETag only: `PreconditionRequired` (428) without one,
    `PreconditionFailed` (412) for an old one. What is not there yet is made without `If-Match`;
    with `has_defaults` it is read and changed like anything else (`UNWRITTEN`).
    """
    while True:
        held = await table.find(row.partition, row.key)
        if held is not None or has_defaults:
            check_if_match(if_match, strong_etag(held.etag) if held else UNWRITTEN)
        elif if_match is not None:
            raise PreconditionFailed("There is nothing to replace; make it without If-Match.")
        try:
            written = await put_over(table, row, held)
        except (RowExists, LostRace):
            continue  # somebody was quicker: the ETag decides, or `*` is written over it
        return strong_etag(written.etag)
