"""Into another tenant of the same partner: what was confirmed arrives there, nothing moves here."""

import dataclasses
from typing import Any

import pytest

from shared.customers import repository as customers
from shared.kit.errors import HoldfastError
from shared.kit.ids import new_id
from shared.protection import service
from shared.restore.model import RestoreState
from tests.contract.engine.conftest import Ground


@pytest.fixture
def size() -> dict[str, Any]:
    return {"tenants": 2, "users": 1, "mails": 6, "files": 6, "unlicensed": False, "seed": 7}


async def next_door(ground: Ground) -> Ground:
    """A second customer of the partner, in the second tenant, backed up as well."""
    world = (await ground.cloud.admin("GET", "/world"))["tenants"][1]
    cloud = dataclasses.replace(ground.cloud, tenant_id=world["tenantId"], world=world)
    for client in (ground.cloud.registrations.reader, ground.cloud.registrations.restorer):
        await cloud.consent(client)
    customer = await customers.add(
        ground.deps.tables,
        ground.scope,
        ground.customer.model_copy(
            update={
                "customer_id": new_id(), "display_name": "Fabrikam", "etag": "",
                "tenant_id": world["tenantId"], "repository_id": None,
            }
        ),
    )  # fmt: skip
    policy = await service.create_recommended_policy(ground.deps, ground.scope, customer)
    return Ground(cloud, ground.deps, customer, policy.policy_id, ground.scope)


async def test_rst_into_another_tenant_of_the_partner_only_as_confirmed(ground: Ground) -> None:
    other = await next_door(ground)
    here, there = await ground.runs(await ground.back_up()), await other.runs(await other.back_up())
    user, guest = ground.cloud.user(), other.cloud.user()
    before, theirs = await ground.cloud.truth(user), await other.cloud.truth(guest)
    for workload, source, target in (
        ("mailbox", user["id"], guest["id"]), ("drive", user["driveId"], guest["driveId"]),
    ):  # fmt: skip
        run, aim = here[workload, source], there[workload, target].object_id
        unsure: list[dict[str, Any]] = [
            {}, {"confirmed_customer_id": ground.customer.customer_id},
            {"confirmed_customer_id": other.customer.customer_id, "with_permissions": True},
            {"confirmed_customer_id": other.customer.customer_id, "place": "original",
             "target_folder": None},
        ]  # fmt: skip
        for more in unsure:
            with pytest.raises(HoldfastError) as refused:
                await ground.restore(
                    run, **{"target_folder": "Moved", "target_object_id": aim, **more}
                )
            assert refused.value.code in {"CONFIRMATION_MISSING", "TARGET_UNFIT"}, more
        if workload == "mailbox":
            assert await other.cloud.truth(guest) == theirs  # nothing was written
        restore = await ground.restore(
            run, target_folder="Moved", target_object_id=aim,
            confirmed_customer_id=other.customer.customer_id,
        )  # fmt: skip
        assert restore.state is RestoreState.COMPLETED, restore
    after = await other.cloud.truth(guest)
    files, moved, own = (
        {one["path"].lstrip("/"): one["sha256"] for one in told["files"]}
        for told in (after, before, theirs)
    )
    assert files == own | {f"Moved/{path}": sha for path, sha in moved.items()}
    assert len(after["mails"]) == len(theirs["mails"]) + len(before["mails"])
    assert await ground.cloud.truth(user) == before  # nothing moves here
