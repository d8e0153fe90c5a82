"""Discovery documents of the simulated Entra: where the endpoints are and who issues tokens."""

from local.microsoft365.signin import MULTI, home_tenants, refusal, unknown_tenant
from local.microsoft365.simulator import Simulator
from local.microsoft365.wire import Answer, answer_json


def discovery(sim: Simulator, tenant: str) -> Answer:
    """Return /{tenant}/v2.0/.well-known/openid-configuration."""
    found = sim.find_tenant(tenant)
    known = tenant in MULTI or found is not None or tenant in home_tenants(sim)
    if not known:
        return refusal(sim, unknown_tenant(tenant))
    origin = sim.issuer
    shown = "{tenantid}" if tenant in MULTI else (found.id if found else tenant)
    base = f"{origin}/{tenant}"
    return answer_json(
        {
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            "jwks_uri": f"{base}/discovery/v2.0/keys",
            "response_modes_supported": ["query", "fragment", "form_post"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["code", "id_token", "code id_token"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "issuer": f"{origin}/{shown}/v2.0",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
            "end_session_endpoint": f"{base}/oauth2/v2.0/logout",
            "tenant_region_scope": "EU",
            "cloud_instance_name": origin.removeprefix("https://"),
        }
    )


def instance_discovery(sim: Simulator, tenant: str) -> Answer:
    """Return /common/discovery/instance, which msal asks when it does not know the authority."""
    host = sim.issuer.removeprefix("https://")
    return answer_json(
        {
            "tenant_discovery_endpoint": f"{sim.issuer}/{tenant}/v2.0/.well-known/"
            "openid-configuration",
            "api-version": "1.1",
            "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
        }
    )
