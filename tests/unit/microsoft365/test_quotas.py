"""Bands and resource units of microsoft365.md section 6."""

from pathlib import Path

import msgspec
import pytest

from shared.microsoft365.quotas import (
    OURS,
    day_budget,
    default_quotas,
    delta_units,
    drive_units,
    identity_band,
    identity_units,
    load_quotas,
    share_point_band,
)

QUOTAS = default_quotas()


@pytest.mark.parametrize(
    ("seats", "per_minute"),
    [(0, 1250), (1000, 1250), (1001, 2500), (15000, 3750), (50000, 5000), (50001, 6250)],
)
def test_bands_by_licences(seats: int, per_minute: int) -> None:
    assert share_point_band(QUOTAS, seats).per_minute == per_minute


def test_identity_bands() -> None:
    assert [identity_band(QUOTAS, n).units for n in (10, 500, 501)] == [3500, 5000, 8000]


def test_m27_units_of_a_call() -> None:
    assert drive_units(QUOTAS, "download") == 1
    assert drive_units(QUOTAS, "permission") == 5
    assert delta_units(QUOTAS, "https://g/drives/d/root/delta?$top=500") == 2
    assert delta_units(QUOTAS, "https://g/drives/d/root/delta?token=abc") == 1
    assert identity_units(QUOTAS, "users", select=True) == 1
    assert identity_units(QUOTAS, "users", expand=True) == 3
    assert identity_units(QUOTAS, "organization", select=True, top=1) == 1


def test_m25_a_fifth_of_the_day_is_kept_for_restores() -> None:
    assert day_budget(QUOTAS, 10) == 960_000


def test_the_burst_of_a_mailbox_stays_inside_its_window() -> None:
    quota = QUOTAS.mailbox
    assert quota.burst + quota.per_second * quota.window_seconds <= quota.requests


def test_a_deployment_may_bring_its_own_numbers(tmp_path: Path) -> None:
    own = tmp_path / "quotas.json"
    own.write_text(OURS.read_text().replace('"inFlight": 4', '"inFlight": 2'))
    assert load_quotas(own).mailbox.in_flight == 2
    own.write_text("{}")
    with pytest.raises(msgspec.ValidationError):
        load_quotas(own)
