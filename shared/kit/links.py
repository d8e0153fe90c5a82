"""Links to a blob that need no sign-in, may only be read, and end: shared access signatures.

In Azure the app's identity signs with a user delegation key, which Entra hands out and can take
back, so no account key exists; on one machine the emulator's account key signs.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azure.storage.blob.aio import ContainerClient

# Clocks of the reader's and of the storage's machine may differ.
SKEW = timedelta(minutes=5)


async def read_link(
    container: "ContainerClient", name: str, now: datetime, until: datetime, *, file_name: str
) -> str:
    """The address of a blob for everybody who holds it, to the instant `until`.

    The answer is offered as a download called `file_name`. The link is a secret: never logged.
    """
    from azure.storage.blob import BlobSasPermissions, generate_blob_sas

    account = container.account_name
    signing: dict[str, Any]
    key = getattr(container.credential, "account_key", None)
    if key:
        signing, protocol = {"account_key": key}, None
    else:
        signing, protocol = await _delegated(container, now, until), "https"
    token = generate_blob_sas(
        account_name=str(account),
        container_name=container.container_name,
        blob_name=name,
        permission=BlobSasPermissions(read=True),
        start=now - SKEW,
        expiry=until,
        protocol=protocol,
        content_disposition=f'attachment; filename="{file_name}"',
        content_type="application/zip",
        **signing,
    )
    return f"{container.get_blob_client(name).url}?{token}"


async def _delegated(
    container: "ContainerClient", now: datetime, until: datetime
) -> dict[str, Any]:
    from azure.storage.blob.aio import BlobServiceClient

    address = f"{container.scheme}://{container.primary_hostname}"
    async with BlobServiceClient(address, credential=container.credential) as service:
        key = await service.get_user_delegation_key(now - SKEW, until)
    return {"user_delegation_key": key}
