"""Delta chaos: after any program of changes and faults the newest complete snapshot is the tenant.

A Hypothesis state machine works on one mailbox and one drive of the simulated Microsoft 365 while
the real workloads and slices copy them into a real vault (microsoft365.md section 4, M11 to M20).
"""

import asyncio
import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from local.certs import Certificates, ClientCredential
from tests.contract.engine.chaos import Chaos, Stage

EXAMPLES = int(os.environ.get("HOLDFAST_CHAOS_EXAMPLES", "15"))
STEPS = int(os.environ.get("HOLDFAST_CHAOS_STEPS", "25"))
numbers = st.integers(0, 40)
some = st.lists(st.tuples(st.integers(0, 15), numbers, numbers), max_size=4)
STAGE: list[tuple[asyncio.Runner, Stage]] = []


class DeltaChaos(RuleBasedStateMachine):
    """What people and Microsoft do between and during nights."""

    def __init__(self) -> None:
        super().__init__()
        self.runner, stage = STAGE[0]
        self.chaos: Chaos = self.runner.run(stage.fresh())

    @rule(what=st.integers(0, 15), one=numbers, other=numbers)
    def change(self, what: int, one: int, other: int) -> None:
        self.chaos.people.act(what, one, other)

    @rule(more=st.lists(st.tuples(st.integers(0, 15), numbers, numbers), min_size=5, max_size=12))
    def busy_day(self, more: list[tuple[int, int, int]]) -> None:
        for what, one, other in more:
            self.chaos.people.act(what, one, other)

    @rule()
    def tokens_expire(self) -> None:
        self.chaos.stage.sim.delta_epoch += 1

    @rule(kind=st.sampled_from(sorted(Chaos.FAULTS)), times=st.integers(1, 4))
    def misfortune(self, kind: str, times: int) -> None:
        self.runner.run(self.chaos.misfortune(kind, times))

    @rule(items=st.integers(1, 60))
    def quiet_night(self, items: int) -> None:
        self.runner.run(self.chaos.quiet_night(items))

    @rule(items=st.integers(1, 8), during=st.lists(some, max_size=6), dies=st.integers(0, 12))
    def busy_night(self, items: int, during: list[Any], dies: int) -> None:
        self.runner.run(self.chaos.night(items, during, dies))

    def teardown(self) -> None:
        self.runner.run(self.chaos.last_night())


def test_the_newest_complete_snapshot_equals_the_tenant(
    certificates: Certificates, credential: ClientCredential
) -> None:
    with asyncio.Runner() as runner:
        stage = runner.run(Stage.open(certificates, credential))
        STAGE.append((runner, stage))
        try:
            run_state_machine_as_test(
                DeltaChaos,
                settings=settings(
                    max_examples=EXAMPLES,
                    stateful_step_count=STEPS,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                    print_blob=True,
                ),
            )
            assert Chaos.nights > EXAMPLES
        finally:
            STAGE.clear()
            runner.run(stage.close())
