"""Removes answers stored under an Idempotency-Key once nobody may ask for them again."""

import azure.durable_functions as df
import azure.functions as func

from shared.bootstrap import deps

blueprint = df.Blueprint()


@blueprint.timer_trigger(arg_name="tick", schedule="0 40 * * * *")
async def reap_answers(tick: func.TimerRequest) -> None:  # noqa: ARG001
    """Every partner with a trail: a stored answer is always to a change, and that has a line."""
    given = deps()
    store = await given.idempotency()
    for partner_id in await (await given.trail()).partners():
        await store.reap(partner_id)
