"""The app registrations of one local run: who may sign in at the simulated Entra, and as what."""

import hashlib
import json
import secrets
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.certs import ClientCredential, write_private

PARTNER_ADMIN = "Partner.Admin"


@dataclass(frozen=True)
class Registrations:
    """Client ids of a run, all derived from one run id; the partner daemon's secret beside."""

    run_id: uuid.UUID = field(default_factory=uuid.uuid4)
    partner_secret: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    def _id(self, name: str) -> str:
        return str(uuid.uuid5(self.run_id, name))

    @property
    def partner_tenant_id(self) -> str:
        """The tenant in which all registrations live."""
        return self._id("partner tenant")

    @property
    def api(self) -> str:
        """The Partner API: audience of partner tokens."""
        return self._id("api")

    @property
    def reader(self) -> str:
        """The multi-tenant app that reads for backup."""
        return self._id("reader")

    @property
    def restorer(self) -> str:
        """The multi-tenant app that writes for restore."""
        return self._id("restorer")

    @property
    def onboarding(self) -> str:
        """The public client of the device-code sign-in."""
        return self._id("onboarding")

    @property
    def marketplace(self) -> str:
        """The single-tenant app of the publisher at Microsoft's marketplace."""
        return self._id("marketplace")

    @property
    def partner(self) -> str:
        """The partner's own daemon: a caller of the Partner API."""
        return self._id("partner daemon")

    def document(self, credential: ClientCredential) -> dict[str, Any]:
        """What the simulated Microsoft 365 reads with `--registrations`."""
        signed = {"kind": "confidential", "certificatePem": credential.certificate_pem}
        apps: list[dict[str, Any]] = [
            {"clientId": self.api, "name": "Holdfast Partner API", "kind": "api"},
            {"clientId": self.reader, "name": "Holdfast Reader", **signed},
            {"clientId": self.restorer, "name": "Holdfast Restorer", **signed},
            {"clientId": self.onboarding, "name": "Holdfast Onboarding", "kind": "public"},
            {
                "clientId": self.partner,
                "name": "Partner daemon",
                "kind": "confidential",
                "secretSha256": hashlib.sha256(self.partner_secret.encode()).hexdigest(),
                "appRoles": [PARTNER_ADMIN],
            },
        ]
        home = self.partner_tenant_id
        return {
            "partnerTenantId": home,
            "apps": [{**app, "homeTenantId": home} for app in apps],
        }

    def write(self, path: Path, credential: ClientCredential) -> None:
        """Write the document where only this user reads it."""
        write_private(path, json.dumps(self.document(credential), indent=2).encode())

    def settings(self) -> dict[str, str]:
        """The app settings that name these registrations."""
        return {
            "HOLDFAST_API_CLIENT_ID": self.api,
            "HOLDFAST_READER_CLIENT_ID": self.reader,
            "HOLDFAST_RESTORER_CLIENT_ID": self.restorer,
            "HOLDFAST_ONBOARDING_CLIENT_ID": self.onboarding,
        }
