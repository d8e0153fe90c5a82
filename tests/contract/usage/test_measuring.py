"""What an evening measures of real storage: bytes by access tier, by which costs are told."""

from datetime import date
from typing import cast

from shared.kit.blobs import AzureBlobs
from shared.protection import repositories
from tests.contract.usage.conftest import Ground


async def test_stored_bytes_are_measured_by_access_tier(ground: Ground) -> None:
    ground.day(date(2026, 3, 1))
    customer = await ground.customer()
    [place] = await repositories.list_of(ground.deps, customer)
    stores = await ground.deps.vault_stores(place.vault_id, region=place.region)
    vault = cast(AzureBlobs, stores.vault)
    await vault._container.create_container()
    for name, size in (("a", 5), ("b", 7), ("c", 11)):
        await vault.put(name, b"x" * size)
    for name in ("b", "c"):
        await vault._container.get_blob_client(name).set_standard_blob_tier("Cool")
    await ground.measure(date(2026, 3, 1))
    [day] = await ground.rows.days(ground.scope, date(2026, 3, 1))
    assert (day.stored_bytes, day.stored_tiers) == (23, {"Hot": 5, "Cool": 18})
    assert day.is_known
