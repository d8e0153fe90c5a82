"""Rows of onboarding runs, in the partner's partition of Operations."""

from shared.access.model import Scope
from shared.kit import ids
from shared.kit.errors import NotFound
from shared.kit.tables import Row, Tables
from shared.onboarding.model import OnboardingRun

TABLE = "Operations"


def _missing(run_id: str) -> NotFound:
    return NotFound(f"There is no onboarding with the id {run_id[:64]!r}.")


async def find(tables: Tables, scope: Scope, run_id: str) -> OnboardingRun | None:
    """The run, or None when unknown; NotFound when its id is malformed or outside the scope."""
    if not scope.covers(ids.customer_of(run_id, ids.ONBOARDING)):
        return None
    row = await tables[TABLE].find(scope.partner_id, run_id)
    return OnboardingRun.model_validate(row.values | {"etag": row.etag}) if row else None


async def get(tables: Tables, scope: Scope, run_id: str) -> OnboardingRun:
    """The run; NotFound when unknown or outside the scope."""
    run = await find(tables, scope, run_id)
    if run is None:
        raise _missing(run_id)
    return run


async def add(tables: Tables, scope: Scope, run: OnboardingRun) -> OnboardingRun:
    """Create; `RowExists` when the id is taken."""
    _inside(scope, run)
    row = await tables[TABLE].insert(_row(run))
    return run.model_copy(update={"etag": row.etag})


async def save(tables: Tables, scope: Scope, run: OnboardingRun) -> OnboardingRun:
    """Replace under the ETag; `LostRace` when somebody was faster."""
    _inside(scope, run)
    row = await tables[TABLE].replace(_row(run))
    return run.model_copy(update={"etag": row.etag})


def _inside(scope: Scope, run: OnboardingRun) -> None:
    if run.partner_id != scope.partner_id or not scope.covers(run.customer_id):
        raise _missing(run.run_id)


def _row(run: OnboardingRun) -> Row:
    return Row(run.partner_id, run.run_id, run.model_dump(mode="json"), run.etag)
