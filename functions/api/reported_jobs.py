"""Jobs of services that run them by themselves: reported, listed, counted by service (BKP-31)."""

from typing import Annotated

from fastapi import Depends
from pydantic import Field, StringConstraints

from functions.api.paging import Pages
from functions.api.protection_models import Name, PageOf, PageSize, SkipToken
from functions.api.routing import Router
from functions.api.security import requires
from functions.api.session_logs import Month
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.kit.api_model import ApiModel, Instant
from shared.protection import reported_jobs
from shared.protection.reported_jobs import JobStatus, ReportedJob

router = Router(prefix="/customers/{customer_id}", tags=["sessions"])
Reader = Annotated[Caller, Depends(requires("sessions.read"))]


class JobIn(ApiModel):
    """What a service says of one of its jobs; said again it replaces what was said before."""

    service: Annotated[str, StringConstraints(min_length=1, max_length=20)] = Field(
        examples=["CBS"], description="Code of the catalogue"
    )
    job_id: Annotated[
        str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")
    ]
    name: Name
    status: JobStatus
    started_at: Instant
    ended_at: Instant | None = None


class JobOut(JobIn):
    """A job as it was last reported."""

    reported_at: Instant

    @classmethod
    def of(cls, job: ReportedJob) -> "JobOut":
        """As partners see it."""
        return cls.model_validate(job.model_dump(exclude={"customer_id"}))


class JobCounts(ApiModel):
    """Jobs begun in a month."""

    month: str
    services: dict[str, dict[str, int]] = Field(
        description="Service -> status -> jobs; our own sessions stand under CBM"
    )


@router.post(
    "/reported-jobs", operation_id="reported_jobs_report", summary="Report a job of a service"
)
async def report(
    customer_id: str, body: JobIn, caller: Annotated[Caller, Depends(requires("sessions.start"))]
) -> JobOut:
    """For services that back up by themselves; repeating a report changes nothing."""
    given = deps()
    job = ReportedJob(
        customer_id=customer_id, reported_at=given.clock.now(), **body.model_dump(by_alias=False)
    )
    return JobOut.of(await reported_jobs.report(given, caller.scope, job))


@router.get("/reported-jobs", operation_id="reported_jobs_list", summary="List reported jobs")
async def list_page(
    customer_id: str,
    month: Month,
    caller: Reader,
    maxpagesize: PageSize = 100,
    skip_token: SkipToken = None,
) -> PageOf[JobOut]:
    """Those that began in the month, by service."""
    path = f"/customers/{customer_id}/reported-jobs"
    pages = Pages(caller, "reported_jobs_list", path, {"month": month})
    after = (await pages.place(skip_token)).get("after", "")
    found, last = await reported_jobs.list_jobs(
        deps(), caller.scope, customer_id, month, after=after, limit=maxpagesize
    )
    link = await pages.link({"after": last} if last else None, maxpagesize)
    return PageOf(value=[JobOut.of(job) for _, job in found], next_link=link)


@router.get("/job-counts", operation_id="jobs_count", summary="Count a customer's jobs by service")
async def count(customer_id: str, month: Month, caller: Reader) -> JobCounts:
    """Sessions and reported jobs that began in the month, by service and status."""
    found = await reported_jobs.count(deps(), caller.scope, customer_id, month)
    return JobCounts(month=month, services=found)
