"""What a tenant's users have been assigned, counted for the services whose seats follow it."""

import logging
from typing import TYPE_CHECKING

from shared.catalogue.model import Basis
from shared.catalogue.service import catalogue
from shared.kit.errors import HoldfastError
from shared.licensing.rules.views import TenantUser, counted_licences

if TYPE_CHECKING:
    from shared.bootstrap import Deps

log = logging.getLogger(__name__)

BASES: tuple[Basis, ...] = ("Microsoft365", "Dynamics365")


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
    users = [TenantUser(user_id, held) for user_id, held in products.items()]
    return {basis: counted_licences(catalogue(), users, basis) for basis in BASES}
