"""Signs in at the simulated Entra of a local run: as the partner's daemon, as our Reader."""

from pathlib import Path

import httpx
from azure.identity import CertificateCredential

from local.registrations import Registrations

GRAPH_SCOPE = "https://graph.microsoft.com/.default"


def partner_form(registrations: Registrations) -> dict[str, str]:
    """The form that a partner's daemon posts to get a token for the Partner API."""
    return {
        "grant_type": "client_credentials",
        "client_id": registrations.partner,
        "client_secret": registrations.partner_secret,
        "scope": f"{registrations.api}/.default",
    }


def partner_token(registrations: Registrations, authority: str) -> str:
    """A fresh token of the partner's daemon. Raises httpx.HTTPError."""
    answer = httpx.post(
        f"{authority}/{registrations.partner_tenant_id}/oauth2/v2.0/token",
        data=partner_form(registrations),
        trust_env=False,
        timeout=30,
    )
    answer.raise_for_status()
    return str(answer.json()["access_token"])


def application_token(
    client_id: str, tenant_id: str, *, credential: Path, authority: str, bundle: Path
) -> str:
    """A fresh Graph token of one of our applications in a tenant that consented to it.

    `authority` is https. Raises azure.core.exceptions.ClientAuthenticationError.
    """
    with CertificateCredential(
        tenant_id,
        client_id,
        str(credential),
        authority=authority,
        disable_instance_discovery=True,
        connection_verify=str(bundle),
    ) as signed:
        return signed.get_token(GRAPH_SCOPE).token
