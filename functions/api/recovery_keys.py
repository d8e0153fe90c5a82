"""The customer's own recovery key: with it the customer reads its vaults without us."""

from typing import Annotated

from fastapi import Depends, Response
from pydantic import Field, StringConstraints

from functions.api.access_models import IfMatch
from functions.api.routing import Router
from functions.api.security import requires
from shared.access.model import Caller
from shared.bootstrap import deps
from shared.kit.api_model import ApiModel, Instant
from shared.protection import recovery_keys
from shared.protection.recovery_keys import Held, Opened

router = Router(tags=["repositories"])
PATH = "/customers/{customer_id}/recovery-key"


class RecoveryKeyIn(ApiModel):
    """The public half of a key pair that the customer made."""

    public_key: Annotated[str, StringConstraints(min_length=1, max_length=8000)] = Field(
        description="RSA of at least 3072 bits, SubjectPublicKeyInfo in PEM",
        examples=["-----BEGIN PUBLIC KEY-----\n…\n-----END PUBLIC KEY-----\n"],
    )


class OpenedOut(ApiModel):
    """What opens one repository by now."""

    repository_id: str
    container: str
    fingerprint: str | None = Field(
        description="Of the recovery key that its newest key blob is wrapped for; null: not made"
    )
    is_current: bool | None = Field(
        description="Whether that is the customer's key; a key that was given while we were cut "
        "off is taken up at night; null: not made yet"
    )

    @classmethod
    def of(cls, one: Opened, wanted: str | None) -> "OpenedOut":
        """As partners see it."""
        made = one.fingerprint is not None
        return cls(
            repository_id=one.repository.repository_id,
            container=f"vault-{one.repository.vault_id}",
            fingerprint=one.fingerprint,
            is_current=one.fingerprint == wanted if made else None,
        )


class RecoveryKeyOut(ApiModel):
    """The recovery key of a customer; without one the operator holds a sealed key (V7)."""

    customer_id: str
    has_own_key: bool
    fingerprint: str | None = Field(
        description="Hex SHA-256 of the key in DER: openssl pkey -pubin -outform DER | sha256sum"
    )
    public_key: str | None
    bits: int | None
    set_at: Instant | None
    set_by: str | None
    repositories: list[OpenedOut]

    @classmethod
    def of(cls, customer_id: str, held: Held) -> "RecoveryKeyOut":
        """As partners see it."""
        key = held.key
        wanted = key.fingerprint if key else None
        return cls(
            customer_id=customer_id,
            has_own_key=key is not None,
            fingerprint=wanted,
            public_key=key.public_pem if key else None,
            bits=key.bits if key else None,
            set_at=key.set_at if key else None,
            set_by=key.set_by if key else None,
            repositories=[OpenedOut.of(one, wanted) for one in held.opened],
        )


@router.get(PATH, operation_id="recovery_key_get", summary="Read a customer's recovery key")
async def get(
    customer_id: str,
    response: Response,
    caller: Annotated[Caller, Depends(requires("repositories.read"))],
) -> RecoveryKeyOut:
    """The public half, and what each vault itself says opens it."""
    held = await recovery_keys.get(deps(), caller.scope, customer_id)
    response.headers["ETag"] = held.etag
    return RecoveryKeyOut.of(customer_id, held)


@router.put(PATH, operation_id="recovery_key_set", summary="Set a customer's recovery key")
async def put(
    customer_id: str,
    body: RecoveryKeyIn,
    response: Response,
    caller: Annotated[Caller, Depends(requires("recoveryKeys.write"))],
    if_match: IfMatch = None,
) -> RecoveryKeyOut:
    """Every repository, those to come too, can be read with the private half, without us.

    A key given before goes on opening what it once opened: what is locked cannot be taken back.
    """
    by = caller.principal.subject
    held = await recovery_keys.put(
        deps(), caller.scope, customer_id, if_match, pem=body.public_key, by=by
    )
    response.headers["ETag"] = held.etag
    return RecoveryKeyOut.of(customer_id, held)
