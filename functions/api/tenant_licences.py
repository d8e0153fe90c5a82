"""The licences in a customer's tenant, and connecting a service to it."""

from typing import Annotated

from fastapi import Depends, Response
from pydantic import Field

from functions.api import csv_files
from functions.api.routing import Router
from functions.api.security import requires
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.catalogue.model import Method
from shared.customers import connecting
from shared.customers.tenant_licences import TenantLicences
from shared.kit.api_model import ApiModel, Instant

router = Router(prefix="/customers/{customer_id}", tags=["licences"])
Reader = Annotated[Caller, Depends(requires("licences.read"))]


class ProductOut(ApiModel):
    """One product of the tenant."""

    product: str = Field(examples=["SPE_E3"])
    available: int = Field(description="Units bought")
    assigned: int
    counts: bool = Field(description="Whether seats follow it (LIC-46)")


class TenantLicencesOut(ApiModel):
    """What the tenant bought and assigned, as it is now (SVC-27)."""

    available: int = Field(description="Units bought of products that count")
    assigned: int = Field(description="Users with a Microsoft 365 product that counts")
    assigned_dynamics365: int
    products: list[ProductOut]

    @classmethod
    def of(cls, found: TenantLicences) -> "TenantLicencesOut":
        """As partners see it."""
        return cls(
            available=found.available,
            assigned=found.assigned["Microsoft365"],
            assigned_dynamics365=found.assigned["Dynamics365"],
            products=[ProductOut(**line) for line in found.products],
        )


class AuthenticateIn(ApiModel):
    """How the service is to be let into the tenant."""

    method: Method = "consent"


class AuthenticateOut(ApiModel):
    """A link for the customer's Global Administrator; good once, until it expires."""

    service: str
    apps: list[str] = Field(description="What the catalogue says the service needs")
    link: str
    expires_at: Instant


@router.get(
    "/tenant-licences", operation_id="tenant_licences_get", summary="Licences in the tenant"
)
async def get(customer_id: str, caller: Reader) -> TenantLicencesOut:
    """Read there now; 503 TENANT_UNREADABLE when it does not answer (SVC-27)."""
    return TenantLicencesOut.of(await connecting.licences_of(deps(), caller.scope, customer_id))


@router.get(
    "/tenant-licences/export",
    operation_id="tenant_licences_export",
    summary="Licences in the tenant as CSV",
    response_class=Response,
    responses=csv_files.RESPONSES,
)
async def export(customer_id: str, caller: Reader) -> Response:
    """One line per product (SVC-27)."""
    found = await connecting.licences_of(deps(), caller.scope, customer_id)
    header = ("product", "available", "assigned", "counts")
    rows = [[str(line[name]) for name in header] for line in found.products]
    return Response(csv_files.document(header, rows), media_type=csv_files.MEDIA_TYPE)


@router.post(
    "/services/{code}:authenticate",
    operation_id="services_authenticate",
    summary="Let a service into the tenant",
    status_code=201,
)
async def authenticate(
    customer_id: str,
    code: str,
    body: AuthenticateIn,
    caller: Annotated[Caller, Depends(requires("onboarding.manage"))],
) -> AuthenticateOut:
    """422 TENANT_TYPE_MISMATCH for a service that needs another kind of tenant (SVC-46)."""
    service, link, expires_at = await connecting.authenticate(
        deps(), caller, customer_id, code, body.method
    )
    return AuthenticateOut(
        service=service.code, apps=list(service.apps), link=link, expires_at=expires_at
    )
