"""Address restrictions: ranges, families, origins, the trusted hop (CUS-46 to 48, SEC-11)."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.access.ip_ranges import (
    AddressNotAllowed,
    RangeInvalid,
    Restriction,
    caller_address,
    check_address,
    from_json,
    merge,
    parse_range,
)

OFFICE = parse_range("10.0.0.1", "10.0.0.9")


def test_the_range_of_the_specification() -> None:
    """SEC-11"""
    switched_on = Restriction(True, [OFFICE])
    check_address(ip_address("10.0.0.5"), [switched_on])
    with pytest.raises(AddressNotAllowed) as refused:
        check_address(ip_address("10.0.0.10"), [switched_on])
    assert refused.value.status == 403


def test_ranges_count_only_with_the_switch_on() -> None:
    """CUS-47"""
    assert Restriction(False, [OFFICE]).admits(ip_address("8.8.8.8"))
    assert Restriction(False, []).admits(None)
    assert not Restriction(True, []).admits(ip_address("10.0.0.1"))
    assert not Restriction(True, [parse_range("0.0.0.0/0")]).admits(None)


def test_provider_and_customer_ranges_are_united_with_their_origin() -> None:
    """CUS-48"""
    theirs = parse_range("192.168.0.0/24", origin="customer")
    merged = merge([OFFICE], [theirs, theirs])
    assert [(str(each.start), each.origin) for each in merged] == [
        ("10.0.0.1", "provider"),
        ("192.168.0.0", "customer"),
    ]
    united = Restriction(True, merged)
    assert united.admits(ip_address("10.0.0.9"))
    assert united.admits(ip_address("192.168.0.255"))
    assert not united.admits(ip_address("192.168.1.0"))


def test_every_restriction_must_admit() -> None:
    client = Restriction(True, [parse_range("10.0.0.2")])
    check_address(ip_address("10.0.0.2"), [client, Restriction(True, [OFFICE])])
    with pytest.raises(AddressNotAllowed):
        check_address(ip_address("10.0.0.3"), [client, Restriction(True, [OFFICE])])


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("10.0.0.9", "10.0.0.1"),
        ("10.0.0.1", "2001:db8::1"),
        ("10.0.0.300", None),
        ("10.0.0.1/24", None),
        ("", None),
        ("fe80::1%eth0", None),
        ("10.0.0.0/8", "10.0.0.1"),
        ("::", "::ffff:10.0.0.1"),
    ],
)
def test_a_bad_range_is_400(start: str, end: str | None) -> None:
    """CUS-46"""
    with pytest.raises(RangeInvalid) as refused:
        parse_range(start, end)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("203.0.113.7:51234", "203.0.113.7"),
        ("10.0.0.1, 203.0.113.7:51234", "203.0.113.7"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("10.0.0.1, unknown", None),
        ("10.0.0.1,", None),
        ("x" * 10_000, None),
    ],
)
def test_the_right_most_hop_counts(header: str, expected: str | None) -> None:
    found = caller_address(header, "127.0.0.1")
    assert found == (ip_address(expected) if expected else None)


def test_two_trusted_hops_and_no_header() -> None:
    assert caller_address("1.1.1.1, 2.2.2.2, 3.3.3.3", None, 2) == ip_address("2.2.2.2")
    assert caller_address("3.3.3.3", "9.9.9.9", 2) is None
    assert caller_address(None, "9.9.9.9") == ip_address("9.9.9.9")
    assert caller_address("1.1.1.1", "9.9.9.9", 0) == ip_address("9.9.9.9")
    assert caller_address(None, None) is None


@given(st.text(), st.text())
def test_no_header_raises(header: str, peer: str) -> None:
    caller_address(header, peer)


addresses = st.ip_addresses(v=4) | st.ip_addresses(v=6)


@given(st.ip_addresses(v=4), st.ip_addresses(v=4), addresses)
def test_a_range_holds_what_lies_between(
    one: IPv4Address, two: IPv4Address, address: IPv4Address | IPv6Address
) -> None:
    low, high = min(one, two), max(one, two)
    given_range = parse_range(str(low), str(high), "customer")
    between = isinstance(address, IPv4Address) and low <= address <= high
    assert (address in given_range) == between
    assert from_json(given_range.to_json()) == given_range
