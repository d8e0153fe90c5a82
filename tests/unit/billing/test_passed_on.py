"""Seats with other partners count day by day, until the pool ends (MKT-19)."""

from datetime import date

from shared.billing.rules.days import passed_runs
from shared.licensing.ledger import Event, Move

MARCH = date(2026, 3, 1)
POOLS = {"p1": "CMG"}


def moved(seq: int, day: date, quantity: int, pool: str = "p1", *, back: bool = False) -> Event:
    ends = (f"pool~{pool}", f"passed~{pool}")
    source, target = reversed(ends) if back else ends
    move = Move(source=source, target=target, quantity=quantity, pool=pool)
    return Event(seq=seq, kind="PassedOn", subject=f"pool~{pool}", effective=day, moves=(move,))


def ended(seq: int, day: date) -> Event:
    return Event(seq=seq, kind="PoolEnded", subject="pool~p1", effective=day)


def shown(*events: Event, month: date = MARCH) -> list[tuple[int, int, int]]:
    found = passed_runs(events, POOLS, month)
    runs = found.get(("", "CMG", "p1"), ())
    return [(run.first.day, run.last.day, int(run.quantity)) for run in runs]


def test_out_and_back() -> None:
    out, back = moved(1, date(2026, 3, 5), 10), moved(2, date(2026, 3, 20), 7, back=True)
    assert shown(out, back) == [(5, 19, 10), (20, 31, 3)]
    assert shown(out, back, month=date(2026, 4, 1)) == [(1, 30, 3)]
    assert shown(out, back, month=date(2026, 2, 1)) == []


def test_what_is_still_out_at_the_end_of_the_pool_is_not_billed_after_it() -> None:
    out, end = moved(1, date(2026, 2, 5), 10), ended(2, date(2026, 3, 16))
    assert shown(out, end) == [(1, 15, 10)]
    assert shown(out, end, month=date(2026, 4, 1)) == []
    assert shown(out, ended(2, date(2026, 4, 1))) == [(1, 31, 10)]


def test_pools_that_are_not_billed_here_do_not_count() -> None:
    assert passed_runs([moved(1, MARCH, 10, "p2")], POOLS, MARCH) == {}
