"""Microsoft's own libraries run against the simulator over TLS, unmodified."""

import asyncio
import json
import os
import sys
from pathlib import Path

from local.microsoft365 import running
from tests.local.microsoft365.conftest import READER, Certificates, registrations

ROOT = Path(__file__).parents[3]
PROGRAM = """
import asyncio, json, os, sys
from azure.identity import CertificateCredential as Blocking
from azure.identity.aio import CertificateCredential
from kiota_abstractions.base_request_configuration import RequestConfiguration
from msgraph import GraphRequestAdapter, GraphServiceClient
from kiota_authentication_azure.azure_identity_authentication_provider import (
    AzureIdentityAuthenticationProvider,
)
from msgraph.generated.users.users_request_builder import UsersRequestBuilder

origin, tenant, client, pem = sys.argv[1:]
host = origin.removeprefix("https://")
options = dict(
    tenant_id=tenant, client_id=client, certificate_path=pem, authority=host,
    disable_instance_discovery=True,
)

async def main():
    blocking = Blocking(**options)
    assert blocking.get_token("https://graph.microsoft.com/.default").token
    async with CertificateCredential(**options) as credential:
        provider = AzureIdentityAuthenticationProvider(
            credential,
            scopes=["https://graph.microsoft.com/.default"],
            allowed_hosts=[host.split(":")[0], host],
        )
        adapter = GraphRequestAdapter(provider)
        adapter.base_url = origin + "/v1.0"
        graph = GraphServiceClient(request_adapter=adapter)
        query = UsersRequestBuilder.UsersRequestBuilderGetQueryParameters(
            select=["id", "displayName", "assignedLicenses"], top=2
        )
        page = await graph.users.get(RequestConfiguration(query_parameters=query))
        names = [user.display_name for user in page.value]
        while page.odata_next_link:
            page = await graph.users.with_url(page.odata_next_link).get()
            names += [user.display_name for user in page.value]
        organization = await graph.organization.get()
        user = (await graph.users.get()).value[0]
        folders = await graph.users.by_user_id(user.id).mail_folders.delta.get()
        inbox = next(f for f in folders.value if f.display_name == "Inbox")
        mails = await (
            graph.users.by_user_id(user.id).mail_folders.by_mail_folder_id(inbox.id)
            .messages.delta.get()
        )
        mime = await (
            graph.users.by_user_id(user.id).messages.by_message_id(mails.value[0].id).content.get()
        )
        drive = await graph.users.by_user_id(user.id).drive.get()
        root = await (
            graph.drives.by_drive_id(drive.id).items.by_drive_item_id("root").delta.get()
        )
        print(json.dumps({
            "names": names, "tenant": organization.value[0].id, "inbox": len(mails.value),
            "mime": len(mime), "files": len(root.value),
        }))

asyncio.run(main())
"""


async def test_azure_identity_and_msgraph_sdk_run_unmodified(
    certificates: Certificates, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    async with running(
        registrations=registrations(certificates.client_certificate),
        certificate=certificates.server,
        key=certificates.server_key,
        users=5,
        mails=60,
        files=10,
        mail_mean=3000,
    ) as server:
        tenant = next(iter(server.sim.tenants.values()))
        app = server.sim.applications[READER]
        now = server.sim.clock.now()
        principal = tenant.principal(app, now, now)
        for role in app.wanted_roles:
            tenant.grant(principal, role, now, now)
        bundle = str(certificates.bundle)
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(program), server.https, tenant.id, READER,
            str(certificates.client), cwd=ROOT, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "SSL_CERT_FILE": bundle, "REQUESTS_CA_BUNDLE": bundle},
        )  # fmt: skip
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()[-3000:]
        found = json.loads(out)
        assert found["names"] == [user.display_name for user in tenant.users.values()]
        assert found["tenant"] == tenant.id
        assert found["inbox"] > 0
        assert found["mime"] > 0
        assert found["files"] > 0
