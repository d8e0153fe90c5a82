"""Backup repositories: where a customer's restore points are kept, region by region."""

from typing import Annotated

from fastapi import Depends, Response
from pydantic import Field, StringConstraints

from functions.api.paging import address
from functions.api.protection_models import Name, PageOf
from functions.api.routing import Router
from functions.api.security import requires
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.kit.api_model import ApiModel, Instant
from shared.protection import repositories, vaults
from shared.protection.repositories import BackupRepository

router = Router(tags=["repositories"])
Reader = Annotated[Caller, Depends(requires("repositories.read"))]
PATH = "/customers/{customer_id}/repositories"


class RepositoryIn(ApiModel):
    """A further repository (BKP-26)."""

    name: Name
    region: Annotated[str, StringConstraints(pattern="^[a-z0-9]{2,40}$")] = Field(
        examples=["westeurope"]
    )


class RepositoryOut(ApiModel):
    """One repository; `container` is its storage alone."""

    id: str
    customer_id: str
    name: str
    region: str
    container: str
    is_default: bool
    created_at: Instant

    @classmethod
    def of(cls, one: BackupRepository) -> "RepositoryOut":
        """The repository as partners see it."""
        same = ("customer_id", "name", "region", "is_default", "created_at")
        values = {name: getattr(one, name) for name in same}
        return cls(id=one.repository_id, container=f"vault-{one.vault_id}", **values)


@router.get(PATH, operation_id="repositories_list", summary="List the repositories of a customer")
async def list_of_customer(customer_id: str, caller: Reader) -> PageOf[RepositoryOut]:
    """The default one of the customer's region first (BKP-26)."""
    found = await repositories.list_repositories(deps(), caller.scope, customer_id)
    return PageOf(value=[RepositoryOut.of(one) for one in found])


@router.post(
    PATH, operation_id="repositories_create", summary="Create a repository", status_code=201
)
async def create(
    customer_id: str,
    body: RepositoryIn,
    response: Response,
    caller: Annotated[Caller, Depends(requires("repositories.create"))],
) -> RepositoryOut:
    """With storage of its own in the region; 403 unless several regions are enabled (CUS-43)."""
    made = await vaults.create_repository(
        deps(),
        caller.scope,
        customer_id,
        name=body.name,
        region=body.region,
        by=caller.principal.subject,
    )
    response.headers["Location"] = address(f"/repositories/{made.repository_id}")
    return RepositoryOut.of(made)


@router.get(
    "/repositories/{repository_id}", operation_id="repositories_get", summary="Read a repository"
)
async def get(repository_id: str, caller: Reader) -> RepositoryOut:
    """Its region and the name of its storage."""
    found = await repositories.get_repository(deps(), caller.scope, repository_id)
    return RepositoryOut.of(found)
