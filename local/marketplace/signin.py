"""The publisher's sign-in beside the simulated marketplace: tokens, keys, openid metadata."""

from typing import Any
from urllib.parse import parse_qsl

import jwt
from aiohttp import web
from cryptography import x509

from local.marketplace.deliveries import CALLER
from local.marketplace.wire import JSON, Refused, answer
from local.microsoft365.tokens import Signer

TOKEN_SECONDS = 3600


class SignIn:
    """Handlers below /{tenant}."""

    def __init__(self, signer: Signer, tenant: str, client_id: str, certificate_pem: str) -> None:
        self._signer, self.tenant, self.client_id = signer, tenant, client_id
        self._certificate = certificate_pem
        self.issuer = ""

    def routes(self) -> list[web.AbstractRouteDef]:
        """All of them; a guid in front keeps them apart from the marketplace's paths."""
        tenant = "/{tenant:[0-9a-f]{8}-[0-9a-f-]{27}}"
        return [
            web.post(f"{tenant}/oauth2/v2.0/token", self.token),
            web.post(f"{tenant}/oauth2/token", self.token),
            web.get(f"{tenant}/discovery/v2.0/keys", self.keys),
            web.get(f"{tenant}/discovery/keys", self.keys),
            web.get(f"{tenant}/v2.0/.well-known/openid-configuration", self.metadata),
            web.get(f"{tenant}/.well-known/openid-configuration", self.metadata_v1),
        ]

    async def keys(self, _: web.Request) -> web.Response:
        """The key set of the run."""
        return answer(self._signer.jwks(self.issuer))

    async def metadata(self, request: web.Request) -> web.Response:
        """OpenID metadata of the v2 endpoint."""
        return answer(self._metadata(request.match_info["tenant"], "/v2.0"))

    async def metadata_v1(self, request: web.Request) -> web.Response:
        """OpenID metadata of the v1 endpoint."""
        return answer(self._metadata(request.match_info["tenant"], ""))

    def _metadata(self, tenant: str, version: str) -> JSON:
        base = f"{self.issuer}/{tenant}"
        issuer = f"{base}/v2.0" if version else f"https://sts.windows.net/{tenant}/"
        return {
            "issuer": issuer,
            "jwks_uri": f"{base}/discovery{version}/keys",
            "token_endpoint": f"{base}/oauth2{version}/token",
            "authorization_endpoint": f"{base}/oauth2{version}/authorize",
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "response_types_supported": ["code"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    async def token(self, request: web.Request) -> web.Response:
        """Client credentials, proven by a certificate."""
        form = dict(parse_qsl((await request.read()).decode()))
        where = f"{self.issuer}{request.path}"
        if request.match_info["tenant"] != self.tenant or form.get("client_id") != self.client_id:
            raise Refused(400, "AADSTS700016: unknown application or directory")
        scope = form.get("scope") or form.get("resource") or ""
        if scope.removesuffix("/.default") != CALLER:
            raise Refused(400, f"AADSTS500011: unknown resource {scope}")
        if not self._proven(form.get("client_assertion", ""), where):
            raise Refused(401, "AADSTS7000215: invalid client credential")
        claims: dict[str, Any] = {
            "aud": CALLER,
            "tid": self.tenant,
            "iss": f"{self.issuer}/{self.tenant}/v2.0",
            "sub": self.client_id,
            "oid": self.client_id,
            "azp": self.client_id,
            "idtyp": "app",
        }
        token = self._signer.sign(claims, TOKEN_SECONDS)
        return answer({"token_type": "Bearer", "expires_in": TOKEN_SECONDS, "access_token": token})

    def _proven(self, assertion: str, audience: str) -> bool:
        public: Any = x509.load_pem_x509_certificate(self._certificate.encode()).public_key()
        try:
            jwt.decode(assertion, public, ["RS256", "PS256"], audience=audience)
        except jwt.PyJWTError:
            return False
        return True
