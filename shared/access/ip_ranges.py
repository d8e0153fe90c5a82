"""From which addresses a caller is admitted: pure rules for IPv4 and IPv6 (CUS-46 to 48, SEC-11).

Every restriction that concerns a caller must admit it: the partner's own, the API client's or
key's, the customer's. Inside one restriction the ranges of all origins are united.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from shared.kit.errors import Forbidden, Invalid

type Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Origin = Literal["partner", "provider", "customer", "client"]
# Our front end appends one hop: the address it was called from. What stands left of it was sent
# by the caller and proves nothing.
TRUSTED_HOPS = 1
MOST_HEADER_CHARACTERS = 8192


class RangeInvalid(Invalid):
    """No usable IP range."""

    code, title = "IP_RANGE_INVALID", "The IP range is not valid"


class AddressNotAllowed(Forbidden):
    """The caller's address lies outside the ranges."""

    code, title = "IP_NOT_ALLOWED", "Your address is not admitted"


@dataclass(frozen=True, slots=True)
class IpRange:
    """Addresses from start to end, both included, and who defined them."""

    start: Address
    end: Address
    origin: Origin = "provider"

    def __contains__(self, address: Address) -> bool:
        return self.start.version == address.version and (
            int(self.start) <= int(address) <= int(self.end)
        )

    def to_json(self) -> dict[str, str]:
        """Start, end and origin as text; `from_json` reads it."""
        return {"start": str(self.start), "end": str(self.end), "origin": self.origin}


@dataclass(frozen=True, slots=True)
class Restriction:
    """A switch and its ranges; off, it admits everyone (CUS-47). On and empty, nobody."""

    is_on: bool
    ranges: Sequence[IpRange]

    def admits(self, address: Address | None) -> bool:
        """Whether the address may call; an unknown address only when the switch is off."""
        if not self.is_on:
            return True
        return address is not None and any(address in each for each in self.ranges)


def parse_range(start: str, end: str | None = None, origin: Origin = "provider") -> IpRange:
    """The range from `start` to `end`, or a CIDR block or one address in `start` alone.

    `RangeInvalid` (400) for mixed families, start above end, host bits, or no address at all.
    """
    try:
        if end is None and "/" in start:
            network = ipaddress.ip_network(start.strip())
            low, high = network.network_address, network.broadcast_address
        else:
            low = ipaddress.ip_address(start.strip())
            high = ipaddress.ip_address(end.strip()) if end is not None else low
    except ValueError as malformed:
        raise RangeInvalid(
            f"{malformed}. Give start and end, or a CIDR block.", pointer="/start"
        ) from malformed
    if getattr(low, "scope_id", None) or getattr(high, "scope_id", None):
        raise RangeInvalid("An address with a zone is local to one machine.", pointer="/start")
    low, high = _plain(low), _plain(high)
    if low.version != high.version:
        raise RangeInvalid("Start and end are of different families.", pointer="/end")
    if int(low) > int(high):
        raise RangeInvalid("Start lies above end.", pointer="/end")
    return IpRange(low, high, origin)


def from_json(stored: dict[str, str]) -> IpRange:
    """The range of `IpRange.to_json`."""
    origin: Origin = stored["origin"]  # type: ignore[assignment]
    return parse_range(stored["start"], stored["end"], origin)


def merge(*origins: Iterable[IpRange]) -> list[IpRange]:
    """The union of ranges of several origins, each kept with its origin, without repeats."""
    return list(dict.fromkeys(each for ranges in origins for each in ranges))


def caller_address(
    forwarded_for: str | None, peer: str | None, trusted_hops: int = TRUSTED_HOPS
) -> Address | None:
    """The address the front end saw: the right-most trusted hop, else the peer.

    None when it cannot be told: then only callers without a restriction get in.
    """
    if not forwarded_for or trusted_hops < 1:
        return _address(peer or "")
    if len(forwarded_for) > MOST_HEADER_CHARACTERS:
        return None
    hops = forwarded_for.split(",")
    return _address(hops[-trusted_hops]) if len(hops) >= trusted_hops else None


def check_address(address: Address | None, restrictions: Iterable[Restriction]) -> None:
    """`AddressNotAllowed` (403) unless every restriction admits the address."""
    if not all(restriction.admits(address) for restriction in restrictions):
        raise AddressNotAllowed("Call from an admitted network, or ask an administrator.")


def _address(hop: str) -> Address | None:
    """The address in a hop: with or without port, brackets around IPv6."""
    text = hop.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return _plain(ipaddress.ip_address(text))
    except ValueError:
        return None


def _plain(address: Address) -> Address:
    """An IPv4 address written as IPv6 is the IPv4 address."""
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped if isinstance(mapped, ipaddress.IPv4Address) else address
