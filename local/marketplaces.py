"""The simulated marketplace as a part of the local stack: its command, and the app's settings."""

import json
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from local.certs import Certificates, ClientCredential, write_private
from local.registrations import Registrations


def command(
    registrations: Registrations, credential: ClientCredential, tls: Certificates, directory: Path
) -> list[str]:
    """How the process is started; writes down who its publisher is."""
    path = directory / "publisher.json"
    publisher = {
        "tenant_id": registrations.partner_tenant_id,
        "client_id": registrations.marketplace,
        "certificate_pem": credential.certificate_pem,
        "cloudblue_key": registrations.partner_secret,
    }
    write_private(path, json.dumps(publisher).encode())
    return [
        *(sys.executable, "-m", "local.marketplace", "--publisher", str(path)),
        *("--http-port", "0", "--https-port", "0"),
        *("--cert", str(tls.server_certificate), "--key", str(tls.server_key)),
    ]


def settings(registrations: Registrations, ready: Mapping[str, str]) -> dict[str, str]:
    """The app's settings beside a marketplace; none without one."""
    if not ready:
        return {}
    return {
        "HOLDFAST_MARKETPLACE": f"{ready['https']}/api",
        "HOLDFAST_MARKETPLACE_AUTHORITY": ready["https"],
        "HOLDFAST_PUBLISHER_TENANT_ID": registrations.partner_tenant_id,
        "HOLDFAST_MARKETPLACE_CLIENT_ID": registrations.marketplace,
        "HOLDFAST_CLOUDBLUE": f"{ready['https']}/public/v1",
        "HOLDFAST_CLOUDBLUE_KEY": registrations.partner_secret,
        "HOLDFAST_CLOUDBLUE_HOOK_SECRET": registrations.partner_secret,
    }


def deliver_to(marketplace: str, api: str) -> None:
    """Tell the marketplace where its webhooks go."""
    body = json.dumps({"url": f"{api}/api/v1/webhooks/microsoft"}).encode()
    asked = urllib.request.Request(f"{marketplace}/_sim/webhook", body, method="POST")  # noqa: S310
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(asked, timeout=10) as answer:
        answer.read()
