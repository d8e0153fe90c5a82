"""Settings of one deployment, read once from the environment (prefix `HOLDFAST_`)."""

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

MICROSOFT_AUTHORITY = "https://login.microsoftonline.com"
MICROSOFT_GRAPH = "https://graph.microsoft.com"
MICROSOFT_MARKETPLACE = "https://marketplaceapi.microsoft.com/api"
CLOUDBLUE_CONNECT = "https://api.connect.cloudblue.com/public/v1"


class Settings(BaseSettings):
    """What differs between deployments. Defaults are Microsoft's public cloud."""

    model_config = SettingsConfigDict(env_prefix="HOLDFAST_", frozen=True, extra="ignore")

    storage_connection: SecretStr | None = None
    """Connection string; only on one machine. In Azure the two URLs and the identity are used."""
    blobs_url: str = ""
    tables_url: str = ""
    identity_client_id: str = ""
    """Client id of the user-assigned managed identity."""
    authority: str = MICROSOFT_AUTHORITY
    graph: str = MICROSOFT_GRAPH
    api_client_id: str = ""
    """Audience of partner tokens: the client id of the Partner API registration."""
    reader_client_id: str = ""
    restorer_client_id: str = ""
    onboarding_client_id: str = ""
    """Public client used by the device-code sign-in."""
    client_credential: Path | None = None
    """PEM file with private key and certificate; only on one machine."""
    public_url: str = "http://127.0.0.1:7071"
    """How callers reach us; links in answers start with it."""
    key_store: str = ""
    """`file:<directory>` on one machine, or `https://{vault}/keys/{name}` in Key Vault."""
    regions: list[str] = Field(
        default_factory=lambda: ["germanywestcentral", "westeurope", "uksouth", "eastus"]
    )
    """Storage regions a customer may be placed in (ONB-36)."""
    region_storage: dict[str, str] = Field(default_factory=dict)
    """Region -> blob endpoint (or connection string) of its account; none given: one for all."""
    lock_mode: Literal["none", "full"] = "none"
    """`full` where containers have version-level immutability (vault.md section 14)."""
    rate_quota: int = Field(default=1200, ge=1)
    """Requests per minute of one client of a partner; over it 429."""
    users_need_site_settings: bool = True
    """Users and roles need User Management and Site Settings; False: the first alone (AMB-26)."""
    cursor_key: SecretStr | None = None
    """64 or more hex digits that seal the places inside lists; absent: a key kept in storage."""
    audit_months: int = Field(default=24, ge=3)
    """Months whose audit lines are kept, beside the current one."""
    marketplace: str = MICROSOFT_MARKETPLACE
    marketplace_authority: str = ""
    """Sign-in of the publisher's tenant; empty: the same as `authority`."""
    publisher_tenant_id: str = ""
    """Tenant of the publisher's account; empty: Microsoft's marketplace is not used."""
    marketplace_client_id: str = ""
    """The single-tenant app named in the offer: our identity there, the audience of webhooks."""
    cloudblue: str = CLOUDBLUE_CONNECT
    cloudblue_key: SecretStr | None = None
    """API key of the vendor at CloudBlue Connect; absent: the channel is not used."""
    cloudblue_hook_secret: SecretStr | None = None
    """What call-backs of Connect are signed with."""
    cloudblue_template: str = "TL-000-000-000"
    """The template that approvals name."""
    cost_table: str = ""
    """Prices costs are estimated by, as TOML like shared/billing/cost.toml; empty: that one."""
    consent_poll_seconds: float = 10
    """Wait between two looks at a fresh consent's roles (M40)."""
    consent_patience_seconds: float = 600
    """How long roles may take to appear after a consent (M40)."""


@cache
def settings() -> Settings:
    """The settings of this process; `settings.cache_clear()` after a change in tests."""
    return Settings()
