"""A Durable Task Scheduler as the task hub: its connection string, and who this host is to it.

The connection string is the one that the cloud's host takes, so the same settings serve both:
`Endpoint=https://NAME.REGION.durabletask.io;Authentication=ManagedIdentity;ClientID=...;TaskHub=...`
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

SETTING = "DURABLE_TASK_SCHEDULER_CONNECTION_STRING"
SCOPE = "https://durabletask.io/.default"
FRESH_SECONDS = 600.0
"""A token that ends sooner is asked for again."""
KINDS = (
    *("None", "DefaultAzure", "ManagedIdentity", "WorkloadIdentity", "Environment", "AzureCLI"),
)
KNOWN = frozenset({"endpoint", "authentication", "clientid", "tenantid", "taskhub"})


class BadConnection(ValueError):
    """The connection string cannot be used; the message says which part and what is expected."""


class NoToken(RuntimeError):
    """The identity gives no token; the message is the credential's own."""


@dataclass(frozen=True)
class Connection:
    """Where the scheduler is, which hub of it, and as whom."""

    host: str
    port: int
    is_secure: bool
    authentication: str
    task_hub: str
    client_id: str | None = None
    tenant_id: str | None = None

    @property
    def target(self) -> str:
        """The address for gRPC."""
        return f"{self.host}:{self.port}"


def read_connection(text: str, task_hub: str) -> Connection:
    """Read a connection string; `task_hub` holds when it names none. Raises BadConnection."""
    parts: dict[str, str] = {}
    for part in filter(None, (p.strip() for p in text.split(";"))):
        name, mark, value = part.partition("=")
        if not mark or not value.strip():
            raise BadConnection(f"'{name}' in the scheduler's connection string has no value")
        if name.strip().lower() not in KNOWN:
            raise BadConnection(
                f"'{name.strip()}' in the scheduler's connection string is not known; there are "
                "Endpoint, Authentication, ClientID, TenantId and TaskHub"
            )
        parts[name.strip().lower()] = value.strip()
    host, port, is_secure = _endpoint(parts.get("endpoint", ""))
    kinds = {kind.lower(): kind for kind in KINDS}
    kind = kinds.get(parts.get("authentication", "").lower())
    if kind is None:
        raise BadConnection(
            "Authentication in the scheduler's connection string has to be one of "
            f"{', '.join(KINDS)}, not '{parts.get('authentication', '')}'"
        )
    if kind != "None" and not is_secure:
        raise BadConnection(
            f"Authentication={kind} needs an https endpoint: a token does not travel in the clear"
        )
    hub = parts.get("taskhub", task_hub)
    return Connection(
        host, port, is_secure, kind, hub, parts.get("clientid"), parts.get("tenantid")
    )


def _endpoint(text: str) -> tuple[str, int, bool]:
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as fault:
        raise BadConnection(f"Endpoint '{text}' is no address: {fault}") from fault
    if url.scheme not in ("http", "https") or not url.hostname or url.path not in ("", "/"):
        raise BadConnection(
            "Endpoint in the scheduler's connection string has to be "
            f"https://NAME.REGION.durabletask.io, not '{text}'"
        )
    return url.hostname, port or (443 if url.scheme == "https" else 80), url.scheme == "https"


def credential_of(connection: Connection) -> Any | None:
    """The azure-identity credential that the connection names; None for none."""
    if connection.authentication == "None":
        return None
    from azure import identity

    named: dict[str, Any] = {"client_id": connection.client_id} if connection.client_id else {}
    match connection.authentication:
        case "ManagedIdentity":
            return identity.ManagedIdentityCredential(**named)
        case "WorkloadIdentity":
            if connection.tenant_id:
                named["tenant_id"] = connection.tenant_id
            return identity.WorkloadIdentityCredential(**named)
        case "Environment":
            return identity.EnvironmentCredential()
        case "AzureCLI":
            return identity.AzureCliCredential(tenant_id=connection.tenant_id or "")
    if connection.client_id:
        return identity.DefaultAzureCredential(managed_identity_client_id=connection.client_id)
    return identity.DefaultAzureCredential()


class Identity:
    """Tokens for one connection; asked for when needed, by one caller at a time."""

    def __init__(self, credential: Any | None, clock: Callable[[], float] = time.time) -> None:
        self._credential, self._clock = credential, clock
        self._token = ""
        self._expires = 0.0
        self._asking = asyncio.Lock()

    async def header(self) -> tuple[tuple[str, str], ...]:
        """The authorization metadata, or nothing without a credential. Raises NoToken."""
        if self._credential is None:
            return ()
        async with self._asking:
            if self._clock() > self._expires - FRESH_SECONDS:
                await self._ask()
        return (("authorization", f"Bearer {self._token}"),)

    async def _ask(self) -> None:
        assert self._credential is not None
        try:
            token = await asyncio.to_thread(self._credential.get_token, SCOPE)
        except Exception as fault:  # credentials raise many kinds; all mean the same here
            if self._clock() < self._expires:
                return  # the one at hand still holds
            raise NoToken(f"no token for the Durable Task Scheduler: {fault}") from fault
        self._token, self._expires = token.token, float(token.expires_on)


def connection_from(environment: Mapping[str, str], setting: str, task_hub: str) -> Connection:
    """The connection that a setting holds. Raises BadConnection."""
    text = environment.get(setting, "")
    if not text:
        raise BadConnection(f"--hub scheduler needs the setting {setting}")
    return read_connection(text, task_hub)
