"""What a tenant's users have been assigned, counted for the services whose seats follow it."""

import logging
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.catalogue.model import Basis
from shared.catalogue.service import catalogue
from shared.kit.errors import HoldfastError, Unavailable
from shared.licensing.rules.views import TenantUser, counted_licences, licence_details

if TYPE_CHECKING:
    from shared.bootstrap import Deps

log = logging.getLogger(__name__)

BASES: tuple[Basis, ...] = ("Microsoft365", "Dynamics365")


class TenantUnreadable(Unavailable):
    """The tenant's directory did not answer, or not us."""

    code, title = "TENANT_UNREADABLE", "The tenant cannot be read at this moment"


@dataclass(frozen=True, slots=True)
class TenantLicences:
    """What a tenant bought and assigned (SVC-27)."""

    available: int
    """Units bought of products that count."""
    assigned: dict[Basis, int]
    """Users with a counted product."""
    products: list[dict[str, Any]]


async def read_licences(deps: "Deps", tenant_id: str) -> dict[Basis, int] | None:
    """Users with a counted product, per basis (LIC-46); None when the reading failed in any way.

    None must change nothing: whoever asks leaves the tenant as it is.
    """
    from shared.microsoft365.directory import Directory

    try:
        products = await Directory(deps.settings, deps.tokens, tenant_id).assigned_products()
    except HoldfastError as refused:
        log.warning("licences of %s were not read: %s", tenant_id, refused.code)
        return None
    except Exception:  # the SDK has errors of its own; none of them may end anybody's licence
        log.exception("licences of %s were not read", tenant_id)
        return None
    return _counted(products)


async def read_details(deps: "Deps", tenant_id: str) -> TenantLicences:
    """Per product what was bought and assigned (SVC-27); `TenantUnreadable` (503)."""
    from shared.microsoft365.directory import Directory

    directory = Directory(deps.settings, deps.tokens, tenant_id)
    try:
        bought = {sku.part_number: sku.enabled for sku in await directory.services()}
        products = await directory.assigned_products()
    except HoldfastError as refused:
        raise TenantUnreadable(f"Microsoft 365 said: {refused.code}.") from refused
    except Exception as broken:  # the SDK has errors of its own
        log.exception("licences of %s were not read", tenant_id)
        raise TenantUnreadable("Repeat the request in a moment.") from broken
    held = Counter(name for each in products.values() for name in each)
    lines = licence_details(catalogue(), bought, held)
    available = sum(line["available"] for line in lines if line["counts"])
    return TenantLicences(available, _counted(products), lines)


def _counted(products: dict[str, frozenset[str]]) -> dict[Basis, int]:
    users = [TenantUser(user_id, held) for user_id, held in products.items()]
    return {basis: counted_licences(catalogue(), users, basis) for basis in BASES}
