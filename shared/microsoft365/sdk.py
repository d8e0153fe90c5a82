"""Opens msgraph-sdk for the control plane; imported only when a directory call is made."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from shared.kit.config import Settings
from shared.microsoft365.errors import ConsentLost, GraphError, ItemFailed, SignInUnavailable
from shared.microsoft365.faults import Answer, Asked, classify

GRAPH_APP_ID = "00000003-0000-0000-c000-000000000000"
"""Microsoft Graph's own application in every tenant."""


class _BearerOfHost:
    """Kiota's AccessTokenProvider by shape: our token, only for Graph's host."""

    def __init__(self, host: str, token: Callable[[], Awaitable[str]]) -> None:
        self._host, self._token = host, token

    async def get_authorization_token(
        self, uri: str, _context: dict[str, Any] | None = None
    ) -> str:
        """The token for a request to `uri`; empty for a foreign host."""
        return await self._token() if urlsplit(uri).hostname == self._host else ""

    def get_allowed_hosts_validator(self) -> Any:
        """Says the same in kiota's words."""
        from kiota_abstractions.authentication import AllowedHostsValidator

        return AllowedHostsValidator([self._host])


@asynccontextmanager
async def graph_client(
    settings: Settings, token: Callable[[], Awaitable[str]]
) -> AsyncIterator[Any]:
    """A GraphServiceClient that signs with what `token` gives; its refusals become ours.

    The SDK's types are not checked: following its 16,000 modules costs a type checker minutes.
    """
    import httpx
    from kiota_abstractions.api_error import APIError
    from kiota_abstractions.authentication import BaseBearerTokenAuthenticationProvider
    from msgraph.graph_request_adapter import GraphRequestAdapter
    from msgraph.graph_service_client import GraphServiceClient
    from msgraph_core import GraphClientFactory  # type: ignore[import-untyped]

    host = urlsplit(settings.graph).hostname or ""
    # Kiota loads its middleware (retry, redirect) into the client it is given.
    async with httpx.AsyncClient(timeout=100, follow_redirects=False) as http:
        adapter = GraphRequestAdapter(
            BaseBearerTokenAuthenticationProvider(_BearerOfHost(host, token)),
            GraphClientFactory.create_with_default_middleware(client=http),
        )
        adapter.base_url = settings.graph.rstrip("/") + "/v1.0"
        try:
            yield GraphServiceClient(request_adapter=adapter)
        except APIError as error:
            raise refusal_of(error) from None
        except httpx.TransportError as error:
            raise SignInUnavailable(0) from error


def refusal_of(error: Any) -> GraphError:
    """The SDK's error in our terms; a 401 or a missing right is the tenant's refusal."""
    main = getattr(error, "error", None)
    code = str(getattr(main, "code", "") or "")
    answer = Answer(
        status=int(error.response_status_code or 0),
        code=code,
        message=str(getattr(main, "message", "") or ""),
    )
    if answer.status == 401:
        return ConsentLost("revoked")
    verdict = classify(Asked(about="object"), answer)
    if verdict.kind == "consent" or answer.status == 403:
        return ConsentLost("degraded")
    return ItemFailed(code or "UnknownError", answer.status)


def status_of(error: GraphError) -> int:
    """HTTP status of a refusal, 0 when it is not a plain one."""
    return error.graph_status if isinstance(error, ItemFailed) else 0
