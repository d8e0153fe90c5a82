"""Size: items of five gigabytes and mailboxes of 100,000 items in bounded memory, and right."""

import asyncio
import json
import os
import subprocess
import sys
from typing import Any

import pytest
from msgspec import structs

from local.certs import Certificates, ClientCredential
from local.microsoft365.world import Size
from shared.microsoft365.quotas import Quotas, default_quotas
from tests.contract.engine.chaos import Stage
from tests.contract.graph.conftest import certificates, credential

__all__ = ["certificates", "credential"]

# Minutes of processor time each: more than the suite's limit for a test.
pytestmark = [pytest.mark.scale, pytest.mark.timeout(3600)]
ITEMS = int(os.environ.get("HOLDFAST_SCALE_ITEMS", "100000"))
GIB = 1 << 30
MOST_MEMORY = 300_000_000
PLENTY = 1_000_000_000


def measured(module: str, *words: object) -> dict[str, Any]:
    """What a process of its own printed."""
    command = [sys.executable, "-m", module, *map(str, words)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_v15_a_sparse_file_of_five_gigabytes_comes_back() -> None:
    size = 5 * GIB + 12_345
    found = measured("tests.scale.huge", "sparse", size)
    assert found["same"]
    assert found["length"] == size
    assert found["stored"][0] < 16 << 20  # zeros are stored once
    assert found["stored"][1] < 4 << 20  # and the second copy finds them
    assert found["peak"] < MOST_MEMORY


def test_v15_a_file_of_two_gigabytes_that_never_repeats() -> None:
    size = 2 * GIB + 1
    found = measured("tests.scale.huge", "mixed", size)
    assert found["same"]
    assert found["length"] == size
    assert size < found["stored"][0] < size * 1.01
    assert found["stored"][1] < 16 << 20  # V22: chunks of the version before are found again
    assert found["peak"] < MOST_MEMORY


def test_v51_memory_does_not_grow_with_the_mailbox() -> None:
    # Three slices have not used the heap as widely as twelve: both sizes are beyond that.
    small = measured("bench.million", "first", ITEMS * 4 // 10)
    large = measured("bench.million", "first", ITEMS)
    assert large["items"] == ITEMS
    assert large["peak"] < MOST_MEMORY
    assert large["peak"] <= 1.1 * small["peak"]


def test_a_mailbox_of_100000_mails_equals_its_snapshot(
    certificates: Certificates, credential: ClientCredential
) -> None:
    asyncio.run(_mailbox(certificates, credential))


def _unpaced() -> Quotas:
    given = default_quotas()
    return structs.replace(
        given,
        mailbox=structs.replace(given.mailbox, requests=PLENTY, per_second=1e6, burst=PLENTY),
    )


async def _mailbox(certificates: Certificates, credential: ClientCredential) -> None:
    stage = await Stage.open(certificates, credential)
    try:
        stage.sim.limits.merge({"outlook": {"requests": PLENTY}, "graph": {"requests": PLENTY}})
        stage.quotas = _unpaced()
        world = Size(users=1, mails=ITEMS, files=1, mail_mean=300, real=False)
        chaos = await stage.fresh(world)
        mailbox = chaos.objects()[0]
        chaos.runs += 1
        head = await chaos.run(mailbox, 5_000, iter(()), 3)
        assert head.status == "complete"
        assert head.counts["protected"] > ITEMS
        await chaos.equal(mailbox, head)
        chaos.runs += 1
        again = await chaos.run(mailbox, 5_000, iter(()), 0)
        assert again.root == head.root
        assert again.counts["listed"] == 0
    finally:
        await stage.close()
