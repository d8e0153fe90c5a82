"""Jobs that a service ran by itself and reports: counted by service beside our own sessions.

Classes that the catalogue knows and Holdfast does not copy (machines, Google, Salesforce...) are
backed up in the service; what became of it is told here (BKP-31). A row is named by its service,
month and job, so that a job reported again replaces what was said of it.
"""

import hashlib
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from shared.access.model import Scope
from shared.catalogue.service import catalogue
from shared.customers import repository as customers
from shared.kit.errors import Invalid
from shared.kit.tables import Row
from shared.protection import queries

if TYPE_CHECKING:
    from shared.bootstrap import Deps

TABLE = "ReportedJobs"
OURS = "CBM"
"""The service whose jobs are our own sessions."""
JobStatus = Literal["Running", "Success", "Warning", "Failed", "Stopped"]


class ReportedJob(BaseModel):
    """One run of a job inside a service."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    customer_id: str
    service: str
    job_id: str
    name: str
    status: JobStatus
    started_at: datetime
    ended_at: datetime | None = None
    reported_at: datetime


def check(service: str, started_at: datetime, ended_at: datetime | None, now: datetime) -> None:
    """Refuse a service nobody knows, our own, and times that cannot be; pure."""
    if service not in catalogue().service_by_code:
        raise Invalid("The catalogue has no such service.", pointer="/service")
    if service == OURS:
        raise Invalid("Jobs of this service are our own sessions.", pointer="/service")
    if started_at > now:
        raise Invalid("A job cannot have started in the future.", pointer="/startedAt")
    if ended_at is not None and ended_at < started_at:
        raise Invalid("A job cannot end before it starts.", pointer="/endedAt")


async def report(deps: "Deps", scope: Scope, job: ReportedJob) -> ReportedJob:
    """Write down what a service says of a job; the last report of a job counts."""
    await customers.get(deps.tables, scope, job.customer_id)
    check(job.service, job.started_at, job.ended_at, job.reported_at)
    values = job.model_dump(mode="json")
    await deps.tables[TABLE].upsert(Row(job.customer_id, _key(job), values))
    return job


async def list_jobs(
    deps: "Deps", scope: Scope, customer_id: str, month: str, *, after: str, limit: int
) -> tuple[list[tuple[str, ReportedJob]], str | None]:
    """A page of the jobs begun in a month with their row keys, and where the next one starts."""
    await customers.get(deps.tables, scope, customer_id)
    found: list[tuple[str, ReportedJob]] = []
    async for row in deps.tables[TABLE].query(customer_id, prefix=f"{month}~", after=after):
        if len(found) == limit:
            return found, found[-1][0]
        found.append((row.key, ReportedJob.model_validate(row.values)))
    return found, None


async def count(
    deps: "Deps", scope: Scope, customer_id: str, month: str
) -> dict[str, dict[str, int]]:
    """Service -> status -> jobs begun in the month; our own sessions stand under theirs."""
    await customers.get(deps.tables, scope, customer_id)
    counted: dict[str, Counter[str]] = {}
    async for row in deps.tables[TABLE].query(customer_id, prefix=f"{month}~"):
        job = ReportedJob.model_validate(row.values)
        counted.setdefault(job.service, Counter())[job.status] += 1
    begin = datetime(int(month[:4]), int(month[5:]), 1, tzinfo=UTC)
    end = (begin.replace(year=begin.year + 1, month=1) if begin.month == 12
           else begin.replace(month=begin.month + 1))  # fmt: skip
    for session in await queries.sessions_between(deps, scope, customer_id, begin, end):
        counted.setdefault(OURS, Counter())[str(session.state)] += 1
    return {name: dict(sorted(of.items())) for name, of in sorted(counted.items())}


def _key(job: ReportedJob) -> str:
    mark = hashlib.sha256(job.job_id.encode()).hexdigest()[:24]
    return f"{job.started_at.astimezone(UTC):%Y-%m}~{job.service}~{mark}"
