"""Usage files of CloudBlue Connect: sent once by name, followed until the other side has decided.

usageFiles            {name}                  sending, then how the file stands
metered~{resource}    {hour}~{dimension}      the same for each record in it
"""

import logging
from typing import TYPE_CHECKING, Any

from shared.kit.errors import Conflict, HoldfastError
from shared.kit.tables import LostRace, Row, RowExists
from shared.marketplace import metering
from shared.marketplace.model import UsageRecord, UsageResult, UsageStatus, key_of

if TYPE_CHECKING:
    from shared.bootstrap import Deps

log = logging.getLogger(__name__)
_PARTITION = "usageFiles"


class UsageFileUnclear(Conflict):
    """A run that made a file was cut off: a person looks at Connect before another is sent."""

    code, title = "USAGE_FILE_UNCLEAR", "It is not known whether the file was sent"


async def submit_month(
    deps: "Deps", name: str, records: list[UsageRecord], product: str = ""
) -> tuple[UsageStatus, str]:
    """Send a month's records of a product as one workbook; its status and the id of the file.

    Sent before under that name: how that file stands. `UsageFileUnclear` (409) after a run that
    died while sending, because Connect would take a second file and bill twice.
    """
    table = deps.orders.table
    try:
        row = await table.insert(Row(_PARTITION, key_of(name), {"state": "sending", "name": name}))
    except RowExists:
        held = await table.get(_PARTITION, key_of(name))
        if held.values["state"] == "sending":
            raise UsageFileUnclear(f"Look for the file {name} at CloudBlue.") from None
        return UsageStatus(held.values["state"]), str(held.values["file"])
    told = await deps.channels.cloudblue().send_file(name, product, records)
    for result in told:
        await metering.keep(deps, result)
    first = told[0]
    row.values |= _stands(first) | {
        "file": first.reference,
        "records": [[each.record.external_id, each.record.dimension] for each in told],
        "hour": records[0].hour.isoformat(),
    }
    await table.replace(row)
    return first.status, first.reference


async def follow(deps: "Deps") -> dict[str, str]:
    """Ask for files that wait, and submit what has become ready: name -> how it stands now."""
    found = {}
    rows = deps.orders.table.query(
        _PARTITION, where="state eq @state", parameters={"state": str(UsageStatus.WAITING)}
    )
    async for row in rows:
        name = str(row.values["name"])
        try:
            status, word, said = await deps.channels.cloudblue().follow_file(row.values["file"])
        except HoldfastError:  # the next hour asks again
            log.exception("usage file %s was not read", name)
            continue
        update = {"status": status, "channel_status": word, "said": said}
        await _spread(deps, row, update)
        if status is UsageStatus.REJECTED:
            log.error("usage file %s is %s: %s", name, word, said)
        row.values |= {"state": str(status), "word": word, "said": said}
        try:
            await deps.orders.table.replace(row)
        except LostRace:
            log.info("usage file %s was followed by another run", name)
        found[name] = str(status)
    return found


async def forget_month(deps: "Deps", name: str) -> None:
    """A person has looked: the file may be sent again."""
    await deps.orders.table.delete(_PARTITION, key_of(name))


def _stands(result: UsageResult) -> dict[str, Any]:
    return {"state": str(result.status), "word": result.channel_status, "said": result.said}


async def _spread(deps: "Deps", row: Row, update: dict[str, Any]) -> None:
    """What became of the file, at each of its records: before the row says that it is settled."""
    wanted = {tuple(each) for each in row.values["records"]}
    for external_id in sorted({external for external, _ in wanted}):
        for result in await metering.results(deps, external_id):
            mine = (external_id, result.record.dimension) in wanted
            if mine and result.reference == row.values["file"]:
                await metering.keep(deps, result.model_copy(update=update))
