"""AMB-31 through the API: an agreement says whether users count whose data are only kept."""

from datetime import UTC, date, datetime

from shared.protection import changes
from shared.protection import repository as protection
from shared.protection.model import Point
from tests.api.licensing import Shop
from tests.api.usage import MARCH, Months, protected


async def test_amb_31_bkp_29_users_of_a_disabled_policy_count_where_it_is_agreed(
    shop: Shop,
) -> None:
    months = Months(shop)
    shop.day(date(2026, 3, 2))
    customer = await protected(months, 3)
    tables, scope = shop.deps.tables, shop.scope
    ended = datetime(2026, 2, 20, tzinfo=UTC)
    point = Point(n=1, status="complete", ended_at=ended, items=1, root="r", record="r")
    for one in await protection.list_objects(tables, scope, customer):
        await changes.change_object(
            tables, scope, one.object_id, lambda at: at.model_copy(update={"last_point": point})
        )
    (policy,) = (await shop.get(f"/customers/{customer}/policies"))["value"]
    path = f"/api/v1/policies/{policy['id']}"
    etag = (await shop.api.get(path, headers=shop.headers)).headers["ETag"]
    answer = await shop.api.post(
        f"{path}:disable", headers={**shop.headers, "If-Match": etag}, json={}
    )
    assert answer.is_success, answer.text
    rows, counted = await shop.deps.usage(), []
    for agreed in ("Protected", "Retained"):
        await months.agree(countedUsers=agreed)
        await months.measure(date(2026, 3, 2), date(2026, 3, 2))
        (day,) = await rows.days(scope, date(2026, 3, 2), customer)
        counted.append(day.protected_users)
    assert counted == [0, 3]
    (kept,) = (await shop.get("/usage-agreements"))["value"]
    assert kept["countedUsers"] == "Retained"
    await months.close(MARCH)
