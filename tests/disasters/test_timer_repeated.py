"""Disaster: the clock fires twice, at once, or while work is running. One session, not two."""

from concurrent.futures import ThreadPoolExecutor

from tests.e2e.clock import make_due, tick
from tests.e2e.scene import Customer, Json, Scene


def sessions(customer: Customer) -> list[Json]:
    return list(customer.partner.all(f"/policies/{customer.policy}/sessions"))


def test_ticks_at_once_start_one_session(scene: Scene, customer: Customer) -> None:
    make_due(scene, customer)
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda _: tick(scene), range(5)))
    path = f"/policies/{customer.policy}/sessions"
    customer.partner.follow(path, lambda page: page["value"])
    tick(scene)
    [only] = sessions(customer)
    assert customer.ended(only["id"])["state"] == "Success"
    assert [one["id"] for one in sessions(customer)] == [only["id"]]


def test_a_run_in_progress_counts_for_the_day(scene: Scene, customer: Customer, calm: None) -> None:
    before = {one["id"] for one in sessions(customer)}
    scene.cloud.ask("POST", "/limits", {"throttle": {"latency": 0.2}})
    by_hand = customer.start()
    make_due(scene, customer)
    due = customer.partner.get(f"/policies/{customer.policy}")["nextRunAt"]
    tick(scene)
    customer.partner.follow(f"/policies/{customer.policy}", lambda p: p["nextRunAt"] > due)
    scene.cloud.calm()
    assert customer.ended(by_hand)["state"] == "Success"
    assert {one["id"] for one in sessions(customer)} == {*before, by_hand}
