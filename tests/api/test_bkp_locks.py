"""Immutability through the API over the real engine, in a store with Azure's semantics (BKP-24)."""

from typing import Any

import pytest

from shared.bootstrap import VaultStores
from shared.kit.blobs import MemoryBlobs
from shared.vault.locks import Immutable
from tests.api.plant import Plant, certificates, cloud, credential, plant, size
from tests.api.test_bkp_keeping import nights, points, selected
from tests.unit.vault.worm import WormBlobs

__all__ = ["certificates", "cloud", "credential", "plant", "size"]


@pytest.fixture
def worm(plant: Plant) -> WormBlobs:
    """The customer's vault in storage that locks."""
    store, control = WormBlobs(clock=plant.cloud.clock), MemoryBlobs()  # type: ignore[arg-type]

    async def stores(_: str, **__: Any) -> VaultStores:
        return VaultStores(store, control, store)

    plant.deps.__dict__["vault_stores"] = stores
    return store


async def test_bkp_24_and_sec_06_nobody_deletes_or_changes_a_point_inside_its_retention(
    plant: Plant, worm: WormBlobs
) -> None:
    made = await selected(plant)
    address = f"/api/v1/objects/{made['object']}/snapshots/1/items"
    before = await plant.get(address)
    assert before["value"]
    versions = [one async for one in worm.versions("o/")]
    assert versions
    for one in versions:
        with pytest.raises(Immutable):
            await worm.delete(one)
        await worm.put(one.name, b"ransom", create_only=False)  # makes a second version
        await worm.hide(one.name)
    assert await points(plant, made["object"]) == [1]
    assert await plant.get(address) == before


async def test_v56_and_v67_the_nights_renew_locks_and_report_none_that_lapses(
    plant: Plant, worm: WormBlobs
) -> None:
    made = await selected(plant)
    await nights(plant, 16)
    now = plant.cloud.clock.now()
    (key,) = [one async for one in worm.versions("keys/o/")]
    assert key.locked_until is not None
    assert (key.locked_until - now).days >= 6  # fourteen days, renewed every week
    found = (await plant.get(plant.path("/rounds")))["value"]
    assert sum(one["locksExtended"] for one in found) >= 2
    assert all(one["alarms"] == [] and one["findings"] == [] for one in found), found
    plant.cloud.clock.simulator.advance(15 * 86_400)  # the keepers stood still
    await nights(plant, 1)
    (latest, *_) = (await plant.get(plant.path("/rounds")))["value"]
    assert [one for one in latest["alarms"] if "V67" in one]
    assert await points(plant, made["object"]) == [1]
