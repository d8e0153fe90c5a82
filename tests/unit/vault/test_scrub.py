"""Scrub and drill find what is damaged, name it, and write nothing (section 16, V66)."""

import random
from datetime import timedelta

import pytest

from shared.vault import scrub
from shared.vault.format import names
from tests.unit.vault.world import MAILBOX, Work, putting
from tests.unit.vault.years import Years


def put(number: int) -> Work:
    return putting({f"i{number}-{n}": b"content %d %d" % (number, n) for n in range(6)})


async def filled() -> Years:
    years = Years()
    await years.create()
    for number in range(4):
        await years.backup(put(number))
        years.pass_(days=1)
    return years


def flip(years: Years, name: str, at: int) -> None:
    kept = years.store.names[name][0]
    at %= len(kept.data)
    kept.data = kept.data[:at] + bytes([kept.data[at] ^ 1]) + kept.data[at + 1 :]


async def all_of(years: Years, share: float = 1.0, seed: str = "") -> list[scrub.Finding]:
    up, oid = await years.upkeep(), await years.oid()
    run = await (await years.open()).open_run(MAILBOX, "look") if share else None
    found = (await scrub.scrub_chain(up, oid)).findings
    found += (await scrub.scrub_dependencies(up, oid, enabled=True)).findings
    if run is not None:
        found += (await scrub.scrub_packs(up, run.keys, share=share, seed=seed)).findings
    return found


async def test_v66_a_whole_vault_has_no_findings_and_is_only_read() -> None:
    years = await filled()
    before = {n: [k.data for k in found] for n, found in years.store.names.items()}
    calls = len(years.store.trap.log)
    assert await all_of(years) == []
    assert {verb for verb, _, _ in years.store.trap.log[calls:]} <= {"get", "list", "versions"}
    snap = await (await years.open()).open_snapshot(MAILBOX)
    done = await scrub.drill(snap, 5, random.Random(1))
    assert (done.blobs, done.findings) == (5, [])
    assert before == {n: [k.data for k in found] for n, found in years.store.names.items()}


@pytest.mark.parametrize("suffix", [".hfs", ".hfb", ".hfp"])
@pytest.mark.parametrize("how", ["flip", "lose", "shadow"])
async def test_damage_is_named(suffix: str, how: str) -> None:
    years = await filled()
    oid = await years.oid()
    names_ = sorted(name for name in years.store.names if name.endswith(suffix))
    name = names_[len(names_) // 2]
    if how == "flip":
        flip(years, name, -20)
    elif how == "lose":
        del years.store.names[name]
    else:
        await years.store.put(name, b"junk", create_only=False)
    if suffix == ".hfp" or how == "shadow":
        found = await all_of(years, share=1.0 if suffix == ".hfp" else 0)
    else:
        up = await years.upkeep()
        found = (await scrub.scrub_chain(up, oid)).findings
        found += (await scrub.scrub_dependencies(up, oid, enabled=True)).findings
    assert found
    record_lost = suffix == ".hfs" and how == "lose"
    assert record_lost or any(name in f"{one.blob} {one.what}" for one in found), (name, found)
    if how == "shadow":
        assert "V64" in {one.rule for one in found}


async def test_a_missing_lock_is_found() -> None:
    years = await filled()
    for found in years.store.names.values():
        for kept in found:
            if kept.about.name.endswith((".hfp", ".hfs")):
                kept.about = __import__("dataclasses").replace(kept.about, locked_until=None)
    rules = [one.rule for one in await all_of(years)]
    assert set(rules) == {"V53"}
    assert len(rules) > 8


async def test_two_percent_a_week_reach_every_pack_in_time() -> None:
    years = await filled()
    years.pass_(days=30)  # the first week of every pack is over
    up = await years.upkeep()
    run = await (await years.open()).open_run(MAILBOX, "look")
    seen = [
        (await scrub.scrub_packs(up, run.keys, share=0.25, seed=f"week{week}")).blobs
        for week in range(40)
    ]
    again = (await scrub.scrub_packs(up, run.keys, share=0.25, seed="week7")).blobs
    assert again == seen[7]
    assert 0 < sum(seen) < 4 * 40
    assert (await scrub.scrub_packs(up, run.keys, share=0)).blobs == 0


async def test_every_pack_is_read_in_its_first_week() -> None:
    years = await filled()
    up = await years.upkeep()
    run = await (await years.open()).open_run(MAILBOX, "look")
    assert (await scrub.scrub_packs(up, run.keys, share=0)).blobs == 4
    years.clock.advance(timedelta(days=5))
    assert 0 < (await scrub.scrub_packs(up, run.keys, share=0)).blobs < 4


async def test_a_drill_finds_a_damaged_item() -> None:
    years = await filled()
    for name in list(years.store.names):
        if name.endswith(".hfp"):
            flip(years, name, 260)
    snap = await (await years.open()).open_snapshot(MAILBOX)
    done = await scrub.drill(snap, 30, random.Random(2))
    assert done.findings
    assert all(one.rule == "V65" for one in done.findings)
    assert names.pack(await years.oid(), b"")[:20] in str(done.findings[0].what)
