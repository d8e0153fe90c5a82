"""The log of a session to read and to take away; a customer's sessions of one month as ZIP."""

from datetime import UTC, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import Depends, Query, Response
from pydantic import Field

from functions.api import csv_files
from functions.api.paging import Pages
from functions.api.protection_models import PageOf, PageSize, SessionOut, SkipToken
from functions.api.routing import Router
from functions.api.security import requires
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.kit.api_model import ApiModel
from shared.kit.errors import Invalid
from shared.protection import queries, session_log
from shared.protection.log_lines import LogLine, LogStatus

router = Router(tags=["sessions"])
Reader = Annotated[Caller, Depends(requires("sessions.read"))]
Statuses = Annotated[list[LogStatus], Query(description="Any of these")]
Zone = Annotated[
    str,
    Query(
        max_length=64,
        pattern=r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,2}$",
        description="IANA name of the time zone of every timestamp",
        examples=["Europe/Berlin"],
    ),
]
Month = Annotated[
    str, Query(pattern=r"^20\d{2}-(0[1-9]|1[0-2])$", description="YYYY-MM", examples=["2026-11"])
]
ZIP = "application/zip"
SESSION_COLUMNS = (
    "sessionId", "policyId", "policyName", "trigger", "state", "startedAt", "endedAt",
    "durationSeconds", "objectsFound", "objectsExcluded", "objectsProcessed", "objectsFailed",
    "itemsListed", "itemsProtected", "bytesRead", "bytesNew", "bytesStored", "error",
)  # fmt: skip


class TimeZoneUnknown(Invalid):
    """No time zone has this name."""

    code, title = "TIME_ZONE_UNKNOWN", "There is no such time zone"


class LogRecordOut(ApiModel):
    """One record of a session's log (BKP-15)."""

    at: str | None = Field(
        description="RFC 3339 in the time zone asked for", examples=["2026-11-22T08:00:00+01:00"]
    )
    status: LogStatus
    message: str
    object_id: str | None = Field(description="The object it is about")

    @classmethod
    def of(cls, line: LogLine, zone: ZoneInfo, *, timestamps: bool) -> "LogRecordOut":
        """The line as partners see it."""
        at = _text(line.at, zone) if timestamps else None
        return cls(at=at, status=line.status, message=line.message, object_id=line.object_id)


@router.get(
    "/sessions/{session_id}/log",
    operation_id="sessions_log",
    summary="Read the log of a session",
)
async def read(
    session_id: str,
    caller: Reader,
    status: Statuses = [],  # noqa: B006
    tz: Zone = "UTC",
    timestamps: bool = True,
    maxpagesize: PageSize = 100,
    skip_token: SkipToken = None,
) -> PageOf[LogRecordOut]:
    """In the order it happened: start, found, excluded, each object, transferred, finish (BKP-16).

    `timestamps=false` leaves them out.
    """
    zone = _zone(tz)
    filters = {"status": sorted(status) or None, "tz": tz, "timestamps": str(timestamps).lower()}
    pages = Pages(caller, "sessions_log", f"/sessions/{session_id}/log", filters)
    after = (await pages.place(skip_token)).get("after", "")
    lines, last = await session_log.page(
        deps(), caller.scope, session_id, statuses=frozenset(status), after=after, limit=maxpagesize
    )
    link = await pages.link({"after": last} if last else None, maxpagesize)
    value = [LogRecordOut.of(line, zone, timestamps=timestamps) for line in lines]
    return PageOf(value=value, next_link=link)


@router.get(
    "/sessions/{session_id}/log.csv",
    operation_id="sessions_log_csv",
    summary="Download the log of a session",
    response_class=Response,
    responses=csv_files.RESPONSES,
)
async def download(
    session_id: str,
    caller: Reader,
    status: Statuses = [],  # noqa: B006
    tz: Zone = "UTC",
    timestamps: bool = True,
) -> Response:
    """Every record as CSV (BKP-17); no cell is a formula to a spreadsheet."""
    zone = _zone(tz)
    header = ["at", "status", "message", "objectId"][0 if timestamps else 1 :]
    rows: list[list[csv_files.Cell]] = []
    async for line in session_log.read(
        deps(), caller.scope, session_id, statuses=frozenset(status)
    ):
        at = [_text(line.at, zone)] if timestamps else []
        rows.append([*at, line.status, line.message, line.object_id])
    return Response(
        csv_files.document(header, rows),
        media_type=csv_files.MEDIA_TYPE,
        headers=_attached(f"session-{session_id}.csv"),
    )


@router.get(
    "/customers/{customer_id}/sessions:export",
    operation_id="sessions_export",
    summary="Export the sessions of a customer for one month",
    response_class=Response,
    responses={200: {"content": {ZIP: {"schema": {"type": "string", "format": "binary"}}}}},
)
async def export(
    customer_id: str,
    month: Month,
    caller: Annotated[Caller, Depends(requires("sessions.export"))],
    tz: Zone = "UTC",
) -> Response:
    """A ZIP with one CSV: the sessions that started in that month, oldest first (BKP-18)."""
    zone = _zone(tz)
    year, number = int(month[:4]), int(month[5:])
    begin = datetime(year, number, 1, tzinfo=zone)
    end = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=zone)
    given, scope = deps(), caller.scope
    found = await queries.sessions_between(
        given, scope, customer_id, begin.astimezone(UTC), end.astimezone(UTC)
    )
    names = await queries.policy_names(given, scope, customer_id)
    rows = [_session(SessionOut.of(one), names, zone) for one in found]
    name = f"sessions-{customer_id}-{month}"
    packed = csv_files.zipped(f"{name}.csv", csv_files.document(SESSION_COLUMNS, rows))
    return Response(packed, media_type=ZIP, headers=_attached(f"{name}.zip"))


def _session(one: SessionOut, names: dict[str, str], zone: ZoneInfo) -> list[csv_files.Cell]:
    began, ended = one.started_at or one.created_at, one.ended_at
    return [
        one.id,
        one.policy_id,
        names.get(one.policy_id),
        one.trigger,
        one.state.value,
        _text(began, zone),
        _text(ended, zone) if ended else None,
        round((ended - began).total_seconds()) if ended else None,
        one.found,
        one.excluded,
        one.processed,
        one.failed,
        one.counts.listed,
        one.counts.protected,
        one.bytes.read,
        one.bytes.new,
        one.bytes.stored,
        one.error,
    ]


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as unknown:
        raise TimeZoneUnknown(
            "Name one of the IANA database, such as Europe/Berlin.", pointer="#/query/tz"
        ) from unknown


def _text(at: datetime, zone: ZoneInfo) -> str:
    text = at.astimezone(zone).isoformat(timespec="seconds")
    return text.replace("+00:00", "Z") if zone.key == "UTC" else text


def _attached(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}
