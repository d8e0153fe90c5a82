"""Random programs of operations, days, orders and rivals: the books add up after every step."""

import asyncio
import functools
import os
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from shared.catalogue.model import Channel, PaymentModel
from shared.licensing import agenda, ledger, passing, wishes
from shared.licensing.book import Book, parsed
from shared.licensing.model import Expiration, LicenceType, Mode, PaymentOption, Standing
from shared.licensing.refusals import Refusal
from shared.licensing.repository import Command, Outcome
from shared.licensing.rules import dates, sweeping
from shared.licensing.rules.adjusting import Need
from shared.licensing.rules.offers import Terms
from shared.licensing.rules.tier2 import Passing
from shared.licensing.service import adjust
from tests.unit.licensing.fold import Fold
from tests.unit.licensing.world import World, check_sums

RESELLER = Standing(tier2_enabled=True, is_reseller=True)
CUSTOMERS = st.sampled_from(["c1", "c2", "c3"])
SLOTS = st.sampled_from(["CBM-M365", "POL", "FLY-OBJECTS"])
COUNT = st.integers(1, 40)
SOME = st.integers(1, 5)
WHICH = st.integers(0, 9)
START = date(2027, 12, 20)  # over a year's end, a leap day and many months' ends
POOLS = {
    "direct": ("CBM-M365", Channel.DIRECT, PaymentModel.PREPAID, PaymentOption.ANNUAL_UPFRONT),
    "market": ("CBM-M365", Channel.MARKETPLACE, PaymentModel.PREPAID, PaymentOption.MONTHLY),
    "payg": ("POL", Channel.DIRECT, PaymentModel.PAYG, PaymentOption.MONTHLY),
    "pol": ("POL", Channel.MARKETPLACE, PaymentModel.PREPAID, PaymentOption.ANNUAL_PAID_MONTHLY),
    "fly": ("FLY-OBJECTS", Channel.DIRECT, PaymentModel.PREPAID, PaymentOption.ANNUAL_UPFRONT),
}
STEPS = int(os.environ.get("HOLDFAST_MACHINE_STEPS", "200"))
EXAMPLES = int(os.environ.get("HOLDFAST_MACHINE_EXAMPLES", "200"))


async def _no_pause(_: float) -> None:
    """Races are lost at once here."""


class Books(RuleBasedStateMachine):
    """A partner with five pools, three customers and another partner below it."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.world = World(START)
        self.below = self.world.other("p2")
        self.today = START
        self.commands: list[tuple[str, Callable[[str], Awaitable[Any]]]] = []
        self.number = 0
        self.folds = {"p1": Fold(self.world), "p2": Fold(self.below)}

    def teardown(self) -> None:
        """At the end, the past is looked at as well: it adds up on every day."""
        for world in (self.world, self.below):
            events = self.loop.run_until_complete(world.ledgers.ledger(world.scope))
            for days in range(0, (self.today - START).days + 1, 9):
                past = ledger.known(events, as_of=START + timedelta(days=days))
                pools, subs, guards = parsed(ledger.fold(past))
                book = Book(world.ledgers.catalogue, self.today, pools, subs, guards)
                for pool in book.pools.values():
                    held = [sub for sub in subs.values() if sub.pool_id == pool.pool_id]
                    assert pool.assigned == sum(sub.quantity for sub in held)
                    assert min(pool.total, pool.assigned, pool.passed_on, pool.burnt) >= 0
                for sub in book.subs.values():
                    assert all(quantity > 0 for quantity in sub.lots.values())
        self.loop.close()

    def run(self, work: Awaitable[Any]) -> Any:
        """Do it; a refusal is an answer, anything else is a fault."""
        try:
            return self.loop.run_until_complete(work)  # type: ignore[arg-type]
        except Refusal:
            return None

    def wish(self, wish: wishes.Wish, world: World | None = None) -> None:
        """A command, kept so that it can be sent a second time."""
        self.number += 1
        command, target = f"k{self.number}", world or self.world
        self.commands.append((command, lambda name: target.do(wish, name)))
        self.run(target.do(wish, command))

    @initialize()
    def buy(self) -> None:
        for name, (item, channel, model, option) in POOLS.items():
            monthly = option is PaymentOption.MONTHLY and channel is Channel.MARKETPLACE
            end = date(2028, 1, 31) if monthly else date(2028, 12, 19)
            bought = self.world.buy(
                item, 60, pool=name, order=name, channel=channel, model=model, option=option,
                source=f"{channel}", start=START, end=end,
            )  # fmt: skip
            self.run(bought)
        for customer, pool, count in (("c1", "direct", 20), ("c1", "fly", 9), ("c2", "market", 9)):
            slot = POOLS[pool][0]
            self.run(self.world.assign(count, slot=slot, customer=customer, pool_id=pool))
        self.run(self.world.assign(7, slot="POL", customer="c3", pool_id="payg"))

    @rule(customer=CUSTOMERS, pool=st.sampled_from(sorted(POOLS)), count=COUNT, day=st.data())
    def assign(self, customer: str, pool: str, count: int, day: st.DataObject) -> None:
        slot = POOLS[pool][0]
        terms: dict[str, Any] = {}
        if day.draw(st.booleans()):
            terms["expires_on"] = self.today + timedelta(days=day.draw(st.integers(20, 80)))
        self.run(self.world.assign(count, slot=slot, customer=customer, pool_id=pool, **terms))

    @rule(customer=CUSTOMERS, slot=SLOTS)
    def begin_trial(self, customer: str, slot: str) -> None:
        self.run(self.world.trial(slot, customer))

    @rule(which=WHICH, count=COUNT)
    def convert(self, which: int, count: int) -> None:
        place = self.one(which, "Trial")
        pool = sorted(name for name in POOLS if POOLS[name][0] == place.slot)[which % 2 - 1]
        self.wish(wishes.convert_trial(place, Terms(pool_id=pool, quantity=count)))

    def one(self, which: int, state: str = "Active") -> wishes.Place:
        """One of the subscriptions there are, best in that state."""
        subs = sorted(self.book("p1").subs.values(), key=lambda sub: sub.key)
        best = [sub for sub in subs if sub.state == state] or subs
        if not best:
            return self.world.place()
        return self.world.place(best[which % len(best)].slot, best[which % len(best)].customer_id)

    @rule(which=WHICH, to=COUNT)
    def set_quantity(self, which: int, to: int) -> None:
        self.wish(wishes.set_quantity(self.one(which), to))

    @rule(which=WHICH, by=st.integers(-1, 30))
    def increase(self, which: int, by: int) -> None:
        self.wish(wishes.increase(self.one(which), by))

    @rule(which=WHICH, by=COUNT)
    def reduce(self, which: int, by: int) -> None:
        self.wish(wishes.reduce(self.one(which), by))

    @rule(which=WHICH)
    def expire(self, which: int) -> None:
        self.wish(wishes.expire(self.one(which)))

    @rule(which=WHICH, days=st.integers(-5, 400) | st.none())
    def set_expiration(self, which: int, days: int | None) -> None:
        day = self.today + timedelta(days=days) if days is not None else None
        mode = None if day else Expiration.SAME_AS_POOL
        self.wish(wishes.set_expiration(self.one(which), mode, day))

    @rule(which=WHICH, expired=st.booleans())
    def switch_source(self, which: int, expired: bool) -> None:
        place = self.one(which, "Expired" if expired else "Active")
        for pool in sorted(name for name in POOLS if POOLS[name][0] == place.slot):
            self.wish(wishes.switch_source(place, Terms(pool_id=pool)))

    @rule(which=WHICH, mode=st.sampled_from(Mode))
    def set_mode(self, which: int, mode: Mode) -> None:
        self.wish(wishes.set_mode(self.one(which), mode))

    @rule(customer=CUSTOMERS, consumed=st.integers(-1, 60))
    def consume(self, customer: str, consumed: int) -> None:
        self.wish(wishes.note_consumption(self.world.place("FLY-OBJECTS", customer), consumed))

    @rule(which=WHICH, kind=st.sampled_from(LicenceType))
    def override(self, which: int, kind: LicenceType) -> None:
        place = self.one(which)
        self.wish(wishes.begin_override(place.facts, place.slot, kind))

    @rule()
    def end_overrides(self) -> None:
        for customer, guard in self.book("p1").guards.items():
            for item in guard.overrides:
                self.wish(wishes.end_override(self.world.facts(customer), item))

    @rule(customer=CUSTOMERS, code=st.sampled_from(["RSK", "CMC"]), enabled=st.booleans())
    def add_on(self, customer: str, code: str, enabled: bool) -> None:
        facts = self.world.facts(customer)
        self.wish(wishes.set_add_on(facts, self.world.standing, code, enabled=enabled))

    @rule(customer=CUSTOMERS)
    def disconnect(self, customer: str) -> None:
        self.wish(wishes.disconnect(self.world.facts(customer), self.world.standing))

    @rule(
        order=st.sampled_from(sorted(POOLS)),
        action=st.sampled_from(
            ["quantity", "renew", "cancel", "suspend", "reinstate", "reinstate"]
        ),
        quantity=st.integers(1, 120) | st.none(),
        days=st.integers(-10, 60),
    )
    def order(self, order: str, action: str, quantity: int | None, days: int) -> None:
        change = wishes.orders.OrderChange(
            order,
            action,
            quantity=quantity,
            end=self.today + timedelta(days=days),  # type: ignore[arg-type]
        )
        self.number += 1
        name = Command("orders", f"k{self.number}")
        self.run(passing.apply_order(self.world.ledgers, self.world.scope, name, change))

    @rule(which=WHICH, licences=st.integers(0, 60) | st.none())
    def follow_licences(self, which: int, licences: int | None) -> None:
        key = self.one(which).key
        needs = [Need(key, licences)]
        self.run(adjust(self.world.ledgers, self.world.scope, needs, approved=10**9))

    @rule(pool=st.sampled_from(["direct", "payg"]), count=COUNT, back=st.booleans())
    def tier2(self, pool: str, count: int, back: bool) -> None:
        self.number += 1
        move = passing.take_back if back else passing.pass_on
        seats = Passing(f"t{self.number}", pool, "p2", count)
        command = Command("reseller")
        self.run(move(self.world.ledgers, self.world.scope, command, RESELLER, seats))

    @rule(customer=st.sampled_from(["d1", "d2"]), count=COUNT)
    def assign_below(self, customer: str, count: int) -> None:
        self.run(self.below.assign(count, customer=customer, pool_id="direct-t2"))

    @rule(days=st.sampled_from([1, 1, 2, 5, 11, 29, 30, 31]), swept=st.booleans())
    def days_pass(self, days: int, swept: bool) -> None:
        """Some nights are missed; the next one catches up."""
        self.today += timedelta(days=days)
        self.world.day(self.today)
        if swept:
            self.night()

    @rule()
    def night(self) -> None:
        for world in (self.world, self.below):
            self.run(world.sweep())
            again = self.loop.run_until_complete(world.sweep())
            assert not again.events, "a night twice is a night once"
            book = self.book(world.scope.partner_id)
            overlooked = sweeping.sweep_subscriptions(book, sorted(book.subs)).events
            assert not overlooked, "what is due is found without reading everything"

    def due_is_on_the_agenda(self) -> None:
        """No partner's due day without a line up to it: the night reads nobody else."""
        for world in (self.world, self.below):
            head = self.loop.run_until_complete(world.ledgers.head(world.scope))
            lines = self.world.table.keys[agenda.DUE]
            days = [key.partition("~")[0] for key in lines if key.endswith(f"~{head.partner_id}")]
            assert head.next_due is None or min(days) <= head.next_due.isoformat()

    @rule(which=WHICH, rival=WHICH, first=SOME, second=SOME)
    def rivals(self, which: int, rival: int, first: int, second: int) -> None:
        """Another process commits between this one's reads and its commit."""
        other = self.world.other("p1")
        other.ledgers = type(self.world.ledgers)(
            self.world.table,
            self.world.clock,
            self.world.ledgers.catalogue,  # type: ignore[arg-type]
        )

        ours, theirs = self.one(which), self.one(rival)

        async def interlope() -> None:
            try:
                await other.do(wishes.increase(theirs, second))
            except Refusal:
                return

        self.world.table.before_batch = interlope
        self.wish(wishes.increase(ours, first))
        self.world.table.before_batch = None

    @rule(callers=st.lists(st.tuples(WHICH, st.integers(-3, 12)), min_size=2, max_size=6))
    def crowd(self, callers: list[tuple[int, int]]) -> None:
        """Many at once, in one process and another, a command sent twice among them (24.1 l)."""
        beside = self.world.other("p1")
        beside.ledgers = type(self.world.ledgers)(
            self.world.table,  # type: ignore[arg-type]
            self.world.clock,
            self.world.ledgers.catalogue,
            pause=_no_pause,
        )
        sent: list[tuple[World, wishes.Wish, str]] = []
        for which, change in callers:
            place, self.number = self.one(which), self.number + 1
            wish = wishes.increase(place, change) if change > 0 else wishes.reduce(place, -change)
            sent.append((beside if which % 3 == 0 else self.world, wish, f"k{self.number}"))
        sent.append(sent[0])
        before = set(self.done())

        async def all_at_once() -> list[Any]:
            done = (world.do(wish, name) for world, wish, name in sent)
            return await asyncio.gather(*done, return_exceptions=True)

        answers = self.loop.run_until_complete(all_at_once())
        told = self.done() - before
        for (_, wish, name), answer in zip(sent, answers, strict=True):
            assert isinstance(answer, Outcome | Refusal), answer
            assert (name in told) == isinstance(answer, Outcome)
            if isinstance(answer, Outcome):
                assert {event.command for event in answer.events} == {name}
                self.commands.append((name, functools.partial(self.world.do, wish)))

    @rule(which=WHICH, by=SOME)
    def lost_answer(self, which: int, by: int) -> None:
        """The commit was written, its answer was lost, the caller sends the command again."""
        wish = wishes.increase(self.one(which), by)
        self.number += 1
        self.world.table.fail_after_batch = ConnectionResetError()
        try:
            self.run(self.world.do(wish, f"k{self.number}"))
        except ConnectionResetError:
            again = self.loop.run_until_complete(self.world.do(wish, f"k{self.number}"))
            assert again.replayed
        self.world.table.fail_after_batch = None

    @precondition(lambda self: self.commands)
    @rule(which=st.randoms(use_true_random=False))
    def again(self, which: Any) -> None:
        """An old command arrives once more: what was done stays done once (24.1 l)."""
        name, send = which.choice(self.commands)
        done = set(self.done())
        before = self.rows("p1")
        outcome = self.run(send(name))
        if name in done:
            assert outcome.replayed
            assert self.rows("p1") == before

    def rows(self, partner: str) -> dict[str, Any]:
        return {
            key: row.values
            for (owner, key), row in self.world.table.rows.items()
            if owner == partner and key.startswith(("pool~", "sub~", "guard~"))
        }

    def book(self, partner: str) -> Book:
        return self.folds[partner].book

    def done(self) -> set[str]:
        """The commands of the first partner that its ledger knows of."""
        self.folds["p1"].carry_on()
        return self.folds["p1"].commands

    @invariant()
    def the_books_add_up(self) -> None:
        for partner in ("p1", "p2"):
            fold, book = self.folds[partner], self.book(partner)
            check_sums(book)
            fold.check()
            for pool in book.pools.values():
                overcommitted = dates.phase(pool, self.today) == "Overcommitted"
                ended = dates.phase(pool, self.today) in {"Ended", "Suspended"}
                assert pool.available >= 0 or overcommitted or ended, "b"
            for sub in book.subs.values():
                last = dates.expires_on(sub, book.pool_of(sub))
                pool_end = book.pools[sub.pool_id].end if sub.pool_id else None
                if sub.lots and pool_end:
                    assert last is not None, "d"
                    assert last <= pool_end, "d"

        self.due_is_on_the_agenda()

    @invariant()
    def never_more_out_than_in(self) -> None:
        above, below = self.book("p1"), self.book("p2")
        for pool in above.pools.values():
            child = below.pools.get(pool.children.get("p2", ""))
            arrived = child.total if child else 0
            assert arrived <= pool.passed_on
            if not pool.transfers:
                assert arrived == pool.passed_on
            if child:
                assert child.end <= pool.end, "e"


Books.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
# 200 x 200 take less than a minute; a nightly run is twenty times as long.
TestBooks = pytest.mark.timeout(max(1200, STEPS * EXAMPLES // 40))(Books.TestCase)
