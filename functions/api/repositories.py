"""Backup repositories: where a customer's restore points are kept, region by region."""

from typing import Annotated, Literal

from fastapi import Depends, Response
from pydantic import Field, StringConstraints

from functions.api.paging import address
from functions.api.protection_models import Name, PageOf
from functions.api.routing import Router
from functions.api.security import requires
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.kit.api_model import ApiModel, Instant
from shared.protection import vaults
from shared.protection.vaults import Described

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
    lock_mode: Literal["full", "none"] | None = Field(
        description="full: storage refuses to anybody to change or delete a restore point before "
        "its retention ends; null: before the first backup"
    )
    key_lock: Literal["rolling", "full"] | None = Field(
        description="rolling: keys are locked for 14 days, renewed weekly, so that one person can "
        "be erased; full: as long as the restore points"
    )

    @classmethod
    def of(cls, shown: Described) -> "RepositoryOut":
        """The repository as partners see it."""
        one = shown.repository
        same = ("customer_id", "name", "region", "is_default", "created_at")
        return cls(
            id=one.repository_id,
            container=f"vault-{one.vault_id}",
            lock_mode=shown.lock_mode,
            key_lock=shown.key_lock,
            **{name: getattr(one, name) for name in same},
        )


@router.get(PATH, operation_id="repositories_list", summary="List the repositories of a customer")
async def list_of_customer(customer_id: str, caller: Reader) -> PageOf[RepositoryOut]:
    """The default one of the customer's region first (BKP-26)."""
    found = await vaults.list_described(deps(), caller.scope, customer_id)
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
    response.headers["Location"] = address(f"/repositories/{made.repository.repository_id}")
    return RepositoryOut.of(made)


@router.get(
    "/repositories/{repository_id}", operation_id="repositories_get", summary="Read a repository"
)
async def get(repository_id: str, caller: Reader) -> RepositoryOut:
    """Its region, the name of its storage, and whether that locks (BKP-24)."""
    found = await vaults.get_described(deps(), caller.scope, repository_id)
    return RepositoryOut.of(found)
