"""The catalogue: what can be sold, with its settings and pool items."""

from typing import Annotated

from fastapi import Depends

from functions.api.routing import Router
from functions.api.security import requires
from shared.access.model import Caller
from shared.catalogue.model import Catalogue
from shared.catalogue.service import catalogue

router = Router(prefix="/catalogue", tags=["licences"])


@router.get("", operation_id="catalogue_get", summary="Read the catalogue")
async def get(_: Annotated[Caller, Depends(requires("licences.read"))]) -> Catalogue:
    """Every service, group, part, add-on, setting and pool item (SVC-01)."""
    return catalogue()
