"""Monthly usage files of CloudBlue Connect: one per month, whoever asks how often."""

from typing import TYPE_CHECKING

from shared.kit.errors import Conflict
from shared.kit.tables import Row, RowExists
from shared.marketplace.model import CLOUDBLUE, UsageRecord, UsageResult, UsageStatus

if TYPE_CHECKING:
    from shared.bootstrap import Deps

_PARTITION = "usageFiles"


class UsageFileUnclear(Conflict):
    """A run that made a file was cut off: a person looks at Connect before another is sent."""

    code, title = "USAGE_FILE_UNCLEAR", "It is not known whether the file was sent"


async def submit_month(
    deps: "Deps", month: str, records: list[UsageRecord]
) -> tuple[UsageStatus, str]:
    """Send the month ("2026-05") as one workbook; its status and the id of the file.

    Sent before: what was said then. `UsageFileUnclear` (409) after a run that died while sending,
    because Connect would take a second file and bill twice.
    """
    table = deps.orders.table
    row = Row(_PARTITION, month, {"state": "sending"})
    try:
        row = await table.insert(row)
    except RowExists:
        held = await table.get(_PARTITION, month)
        if held.values["state"] == "sending":
            raise UsageFileUnclear(f"Look for the file of {month} at CloudBlue.") from None
        return UsageStatus(held.values["state"]), str(held.values["file"])
    told: list[UsageResult] = await deps.channels.adapter(CLOUDBLUE).report_usage(records)
    first = told[0]
    row.values = {"state": str(first.status), "file": first.reference, "said": first.said}
    await table.replace(row)
    return first.status, first.reference


async def forget_month(deps: "Deps", month: str) -> None:
    """A person has looked: the month may be sent again."""
    await deps.orders.table.delete(_PARTITION, month)
