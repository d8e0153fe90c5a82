"""Every region has its own account where the deployment says so (BKP-25, SEC-02)."""

import pytest

from shared.kit.config import Settings
from shared.kit.storage import Storage


async def test_bkp_25_data_of_a_region_goes_to_its_account_and_never_to_another() -> None:
    places = {"uksouth": "https://uk.blob.example", "westeurope": "https://we.blob.example"}
    storage = Storage(Settings(blobs_url="https://main.blob.example", region_storage=places))
    for region, place in places.items():
        there = storage.in_region(region)
        assert there.client_of("vault-1").url == f"{place}/vault-1"
        assert storage.in_region(region) is there
    with pytest.raises(KeyError):
        storage.in_region("eastus")
    await storage.close()


async def test_one_account_for_all_regions_is_the_default() -> None:
    storage = Storage(Settings(blobs_url="https://main.blob.example"))
    assert storage.in_region("uksouth") is storage
