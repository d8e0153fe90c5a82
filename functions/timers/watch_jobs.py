"""The clock that watches restores, exports and drills: one whose process is gone is started again.

Between the row and the start of its process a worker may die; without this clock nobody would
ever start it, and a person would see Queued for ever.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import azure.durable_functions as df
import azure.functions as func

from functions.starting import process_state, start
from orchestrations import drill, export, restore
from shared.access.jobs import Asked
from shared.access.model import Scope
from shared.audit.model import Target
from shared.audit.processes import tell
from shared.bootstrap import deps
from shared.kit import losses, watch
from shared.kit.errors import NotFound
from shared.kit.tables import Tables

if TYPE_CHECKING:
    from shared.bootstrap import Deps

blueprint = df.Blueprint()
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kind:
    """One kind of job: its process, its rows, and how it is ended by its rows."""

    noun: str
    orchestrator: str
    id_field: str
    instance_of: Callable[[str], str]
    open_jobs: Callable[[Tables], AsyncIterator[Asked]]
    get: Callable[[Tables, Scope, str], Awaitable[Any]]
    settle: Callable[[Tables, str], Awaitable[None]]
    seal: Callable[["Deps", dict[str, Any]], Awaitable[str]]


@blueprint.timer_trigger(arg_name="tick", schedule="0 5/10 * * * *")
@blueprint.durable_client_input(client_name="client")
async def watch_jobs(tick: func.TimerRequest, client: df.DurableFunctionsClient) -> None:
    """Look at everything that was asked for and whose end nobody has noted."""
    if tick.past_due:
        log.warning("the clock that watches jobs is late: they are looked at now")
    await look(client)


async def look(client: df.DurableFunctionsClient) -> dict[str, losses.Verdict]:
    """Job -> what was decided about it. One that cannot be looked at does not stop the others."""
    found: dict[str, losses.Verdict] = {}
    for kind in kinds():
        for asked in [one async for one in kind.open_jobs(deps().tables)]:
            try:
                verdict = await _look_at(client, kind, asked)
            except Exception:
                log.exception("%s cannot be looked at now", asked.job_id)
                continue
            if verdict is not None:
                found[asked.job_id] = verdict
    return found


async def _look_at(
    client: df.DurableFunctionsClient, kind: Kind, asked: Asked
) -> losses.Verdict | None:
    given, now = deps(), deps().clock.now()
    try:
        job = await kind.get(given.tables, Scope(asked.partner_id), asked.job_id)
    except NotFound:  # noted, and then its writer died; or erased with its customer
        if now - asked.at >= losses.START_WITHIN:
            await kind.settle(given.tables, asked.job_id)
        return None
    if job.is_over:
        await kind.settle(given.tables, asked.job_id)
        return None
    if now - job.updated_at < losses.START_WITHIN:
        return "wait"
    instance = kind.instance_of(asked.job_id)
    state = await process_state(client, instance)
    verdict = losses.decide(state, age=now - asked.at, silent=now - job.updated_at)
    task = {"partner_id": asked.partner_id, kind.id_field: asked.job_id}
    if verdict == "start":
        log.warning("%s has no process: started", asked.job_id)
        await start(client, kind.orchestrator, instance, task)
    elif verdict == "end":
        await _end(given, kind, asked, job.customer_id, task | {"error": losses.why(state)})
    return verdict


async def _end(
    given: "Deps", kind: Kind, asked: Asked, customer_id: str, task: dict[str, Any]
) -> None:
    with watch.watching():
        outcome = await kind.seal(given, task)
        log.warning("%s ended as %s: %s", asked.job_id, outcome, task["error"])
        await tell(
            await given.trail(),
            asked.partner_id,
            process="watch_jobs",
            instance=kind.instance_of(asked.job_id),
            step="end",
            action=f"{kind.noun}.end",
            target=Target(kind=kind.noun, id=asked.job_id),
            customer_id=customer_id,
            details={"state": outcome, "why": task["error"]},
        )


def kinds() -> tuple[Kind, ...]:
    """The three; their processes are imported when there is something to look at."""
    from shared.drills import repository as drills
    from shared.export import repository as exports
    from shared.restore import repository as restores

    return (
        Kind("restores", "restore_items", "restore_id", restore.instance_of,
             restores.open_jobs, restores.get, restores.settle, _seal_restore),
        Kind("exports", "export_items", "export_id", export.instance_of,
             exports.open_jobs, exports.get, exports.settle, _seal_export),
        Kind("drills", "restore_drill", "drill_id", drill.instance_of,
             drills.open_jobs, drills.get, drills.settle, _seal_drill),
    )  # fmt: skip


async def _seal_restore(given: "Deps", task: dict[str, Any]) -> str:
    from shared.restore import process
    from shared.restore.tasks import RestoreTask

    return (await process.seal_restore(given, RestoreTask.model_validate(task))).value


async def _seal_export(given: "Deps", task: dict[str, Any]) -> str:
    from shared.export import process
    from shared.export.tasks import ExportTask

    return (await process.seal_export(given, ExportTask.model_validate(task))).value


async def _seal_drill(given: "Deps", task: dict[str, Any]) -> str:
    from shared.drills import process
    from shared.drills.tasks import DrillTask

    return (await process.seal_drill(given, DrillTask.model_validate(task))).value
