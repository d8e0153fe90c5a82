"""The reader tells events and contacts as the service does, without a library of the service."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from holdfast_vault.calendars import CannotTell
from holdfast_vault.calendars import event_to_ics as told
from holdfast_vault.cards import contact_to_vcf
from hypothesis import given, settings
from hypothesis import strategies as st
from icalendar import Calendar

from shared.microsoft365.ics import event_to_ics
from shared.microsoft365.stored_json import encoded
from shared.microsoft365.vcf import contact_to_vcf as service_vcf
from shared.vault.run import Run
from shared.vault.slices import Slice
from tests.unit.microsoft365.test_ics import event, patterns
from tests.unit.vault.copies import copied, customers_world, reader
from tests.unit.vault.world import MAILBOX, backup

# Wall-clock times: the zone is what the test is about.
TIMES = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1))  # noqa: DTZ001
ZONES = ["UTC", "W. Europe Standard Time", "Eastern Standard Time"]


def components(made: bytes) -> list[Any]:
    return [one for one in Calendar.from_ical(made).walk() if one.name == "VEVENT"]


def shape(one: Any) -> dict[str, Any]:
    """What decides when it takes place."""
    rule = one.get("rrule")
    return {
        "uid": str(one["uid"]),
        "start": one["dtstart"].to_ical(),
        "zone": str(getattr(one["dtstart"].dt, "tzinfo", "")),
        "end": one["dtend"].to_ical(),
        "rule": {name: list(map(str, rule[name])) for name in sorted(rule)} if rule else None,
    }


@settings(max_examples=60, deadline=None)
@given(patterns(), st.sampled_from(ZONES), TIMES)
def test_series_take_place_when_the_service_says(
    pattern: dict[str, Any], where: str, start: datetime
) -> None:
    series = {"pattern": pattern, "range": {"type": "numbered", "numberOfOccurrences": 5}}
    stored = event(start.replace(microsecond=0), where, recurrence=series)
    mine, theirs = components(told(stored)), components(event_to_ics(encoded(stored)))
    assert [shape(one) for one in mine] == [shape(one) for one in theirs]


@given(TIMES, st.text(max_size=60))
def test_single_events_are_told_in_utc_whatever_their_words(start: datetime, words: str) -> None:
    stored = event(start.replace(microsecond=0), "UTC", subject=words)
    (one,) = components(told(stored))
    assert one["dtstart"].dt == components(event_to_ics(encoded(stored)))[0]["dtstart"].dt
    assert len(max(told(stored).split(b"\r\n"), key=len)) <= 75


def test_series_in_a_zone_nobody_knows_stays_json() -> None:
    pattern = {"type": "daily", "interval": 1}
    series = {"pattern": pattern, "range": {"type": "noEnd"}}
    where = "tzone://Microsoft/Custom"
    stored = event(datetime(2026, 1, 5, 10), "UTC", recurrence=series)  # noqa: DTZ001
    with pytest.raises(CannotTell):
        told({**stored, "originalStartTimeZone": where})
    with pytest.raises(CannotTell):
        told({"subject": "no start"})


def test_contact_holds_what_the_services_holds() -> None:
    contact = {
        "id": "c1", "displayName": "Äda, \"Countess\"; of\nLovelace", "surname": "Lovelace",
        "givenName": "Ada", "emailAddresses": [{"address": "ada@x.example", "name": "Ada"}],
        "businessPhones": ["+44 1"], "mobilePhone": "+44 2", "companyName": "Engines",
        "businessAddress": {"city": "London", "street": "1 Square"},
        "birthday": "1815-12-10T11:59:00Z",
        "personalNotes": "x" * 300, "categories": ["a", "b"],
    }  # fmt: skip
    mine = set(contact_to_vcf(contact).replace(b"\r\n ", b"").split(b"\r\n"))
    theirs = set(service_vcf(encoded(contact)).replace(b"\r\n ", b"").split(b"\r\n"))
    assert {line for line in theirs - mine if not line.startswith((b"PRODID", b"REV"))} == set()


async def test_extract_writes_events_and_contacts_beside_their_json(tmp_path: Path) -> None:
    """Run as a customer would: its own process, without the service."""
    world, vault = await customers_world()
    series = {"pattern": {"type": "daily", "interval": 1}, "range": {"type": "noEnd"}}
    start = datetime(2026, 1, 5, 10)  # noqa: DTZ001
    stored = {
        "one": event(start),
        "series": event(start, ZONES[1], recurrence=series),
        "unknown": event(start, recurrence=series) | {"originalStartTimeZone": "tzone://x"},
    }

    async def put(run: Run, part: Slice) -> None:
        row = {"v": "1", "c": "json"}
        for name, each in stored.items():
            await part.put({"i": name, "k": "event", "n": name, **row}, encoded(each))
        contact = encoded({"displayName": "Ada", "id": "c"})
        await part.put({"i": "c", "k": "contact", "n": "Ada", **row}, contact)

    await backup(vault, MAILBOX, "r1", put)
    copy, key = await copied(world, tmp_path)
    out = tmp_path / "out"
    done = reader(
        "extract", copy, "--key", key, "--object", "ada@example.org", "--at", "latest", "--to", out
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    found = {path.name: path.read_bytes() for path in (out / "items").iterdir()}
    assert found.keys() == {
        "one.json", "one.ics", "series.json", "series.ics", "unknown.json", "Ada.json", "Ada.vcf",
    }  # fmt: skip
    assert found["one.ics"] == told(stored["one"])
    assert b"TZID=Europe/Berlin" in found["series.ics"]
    assert b"FN:Ada" in found["Ada.vcf"]
    assert len((out / "proofs.jsonl").read_bytes().splitlines()) == 4
