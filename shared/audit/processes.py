"""What processes and clocks do on their own is told in the trail of the partner it concerns."""

from typing import TYPE_CHECKING

from shared.audit.model import Actor, Entry, Outcome, Source, Target
from shared.kit import watch

if TYPE_CHECKING:
    from shared.audit.model import Line
    from shared.audit.service import Trail


async def tell(
    trail: "Trail",
    partner_id: str,
    *,
    process: str,
    instance: str,
    step: str,
    action: str,
    target: Target,
    customer_id: str | None,
    outcome: Outcome = Outcome.DONE,
    code: str | None = None,
    source: Source | None = None,
    details: dict[str, str] | None = None,
) -> "Line | None":
    """One line with the process as its actor; a repeat of the step of this instance adds none.

    Called after the change. Inside `watch.watching()` the line has the hashes of what changed;
    when the change was made by an execution that died before its line, it has none.
    """
    seen = watch.current()
    entry = Entry(
        actor=Actor(kind="system", subject=process, name=process),
        action=action,
        target=target,
        customer_id=customer_id,
        outcome=outcome,
        before=seen.before if seen else None,
        after=seen.after if seen else None,
        code=code,
        source=source or Source(),
        details={"instance": instance, "step": step, **(details or {})},
    )
    return await trail.record_once(partner_id, entry, f"{instance}/{step}")
