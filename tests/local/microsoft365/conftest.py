"""Fixtures: a certificate authority, registrations, and a client that speaks like a Graph app."""

import hashlib
import ipaddress
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from yarl import URL

from local.microsoft365 import running
from local.microsoft365.server import Server

PARTNER = "11111111-1111-4111-8111-111111111111"
READER = "aaaaaaaa-0000-4000-8000-000000000001"
RESTORER = "aaaaaaaa-0000-4000-8000-000000000002"
ONBOARDING = "aaaaaaaa-0000-4000-8000-000000000003"
API = "aaaaaaaa-0000-4000-8000-000000000004"
PARTNER_APP = "aaaaaaaa-0000-4000-8000-000000000005"
SECRET = "correct horse"
IMMUTABLE = 'IdType="ImmutableId"'
JSON = dict[str, Any]


@dataclass(frozen=True)
class Certificates:
    """Files of a run-time CA, a server certificate and a client certificate."""

    bundle: Path
    server: Path
    server_key: Path
    client: Path
    client_certificate: str


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _issue(
    text: str, issuer: tuple[x509.Name, rsa.RSAPrivateKey] | None = None
) -> tuple[x509.Certificate, rsa.RSAPrivateKey]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    now = datetime.now(UTC)
    name, signing = issuer or (_name(text), key)
    public = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(text))
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(public, critical=False)
        .add_extension(signer, critical=False)
    )
    usage = dict.fromkeys(
        ("content_commitment", "data_encipherment", "key_agreement", "encipher_only",
         "decipher_only", "crl_sign"), False,
    )  # fmt: skip
    usage |= {
        "digital_signature": True,
        "key_encipherment": issuer is not None,
        "key_cert_sign": issuer is None,
    }
    builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
    if issuer is not None:
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(signing, hashes.SHA256()), key


def _pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    pem = serialization.Encoding.PEM
    root, root_key = _issue("Test root")
    server, server_key = _issue("localhost", (root.subject, root_key))
    client, client_key = _issue("Holdfast Reader")
    (folder / "bundle.pem").write_bytes(root.public_bytes(pem))
    (folder / "server.pem").write_bytes(server.public_bytes(pem))
    (folder / "server.key").write_bytes(_pem(server_key))
    (folder / "client.pem").write_bytes(_pem(client_key) + client.public_bytes(pem))
    return Certificates(
        folder / "bundle.pem",
        folder / "server.pem",
        folder / "server.key",
        folder / "client.pem",
        client.public_bytes(pem).decode(),
    )


def registrations(certificate: str | None = None) -> JSON:
    hashed = hashlib.sha256(SECRET.encode()).hexdigest()

    def app(client: str, name: str, kind: str, **more: Any) -> JSON:
        return {"clientId": client, "name": name, "kind": kind, "homeTenantId": PARTNER, **more}

    return {
        "partnerTenantId": PARTNER,
        "apps": [
            app(
                READER,
                "Holdfast Reader",
                "confidential",
                secretSha256=hashed,
                **({"certificatePem": certificate} if certificate else {}),
            ),
            app(RESTORER, "Holdfast Restorer", "confidential", secretSha256=hashed),
            app(ONBOARDING, "Holdfast Onboarding", "public"),
            app(API, "Holdfast API", "api"),
            app(PARTNER_APP, "Partner", "confidential", secretSha256=hashed,
                appRoles=["Partner.Admin"]),
        ],
    }  # fmt: skip


class Client:
    """A running simulator seen from outside: sockets only."""

    def __init__(self, server: Server, session: aiohttp.ClientSession) -> None:
        self.server, self.session, self.base = server, session, server.http
        self.token = ""
        self.prefer = [IMMUTABLE]
        self.tenant: JSON = {}

    @property
    def tenant_id(self) -> str:
        return str(self.tenant["tenantId"])

    @property
    def users(self) -> list[JSON]:
        return list(self.tenant["users"])

    async def raw(
        self, method: str, path: str, headers: dict[str, str] | None = None, **more: Any
    ) -> tuple[int, aiohttp.typedefs.LooseHeaders, bytes]:
        url = path if path.startswith("http") else self.base + path
        async with self.session.request(
            method, URL(url, encoded=True), headers=headers, allow_redirects=False, **more
        ) as answer:
            return answer.status, answer.headers, await answer.read()

    async def graph(
        self, method: str, path: str, *, status: int = 200, headers: Any = None, **more: Any
    ) -> Any:
        url = path if path.startswith("http") else "/v1.0" + path
        given = {"Authorization": f"Bearer {self.token}", "Prefer": ", ".join(self.prefer)}
        got, _, body = await self.raw(method, url, {**given, **(headers or {})}, **more)
        assert got == status, (method, path, got, body[:400])
        try:
            return json.loads(body) if body else None
        except ValueError:
            return body

    async def sim(self, method: str, path: str, **more: Any) -> Any:
        status, _, body = await self.raw(method, "/_sim" + path, **more)
        assert status < 300, (method, path, status, body[:300])
        return json.loads(body) if body else None

    async def truth(self, user: JSON) -> JSON:
        found = await self.sim("GET", f"/tenants/{self.tenant_id}/users/{user['id']}/truth")
        assert isinstance(found, dict)
        return found

    async def take_token(self, client_id: str = READER, **more: str) -> tuple[int, JSON]:
        form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": SECRET,
            "scope": "https://graph.microsoft.com/.default",
            **more,
        }
        status, _, body = await self.raw("POST", f"/{self.tenant_id}/oauth2/v2.0/token", data=form)
        return status, json.loads(body)

    async def consent(self, *clients: str, roles: list[str] | None = None) -> None:
        for client in clients:
            body = {"clientId": client, **({"roles": roles} if roles is not None else {})}
            await self.sim("POST", f"/tenants/{self.tenant_id}/consent", json=body)

    async def become(self, client: str, roles: list[str] | None = None) -> "Client":
        await self.consent(client, roles=roles)
        status, answer = await self.take_token(client)
        assert status == 200, answer
        self.token = answer["access_token"]
        return self

    async def faults(self, *rules: JSON) -> None:
        await self.sim("POST", "/faults", json={"rules": list(rules)})

    async def pages(self, link: str) -> tuple[list[JSON], str, list[int]]:
        """Follow nextLinks; return all values, the deltaLink, and the size of each page."""
        found: list[JSON] = []
        sizes: list[int] = []
        while True:
            page = await self.graph("GET", link)
            found += page["value"]
            sizes.append(len(page["value"]))
            if "@odata.nextLink" not in page:
                return found, page.get("@odata.deltaLink", ""), sizes
            link = page["@odata.nextLink"]


Start = Callable[..., Any]


@asynccontextmanager
async def client(**options: Any) -> AsyncIterator[Client]:
    certificate = options.pop("certificate_pem", None)
    size = {"users": 3, "mails": 30, "files": 20, "mail_mean": 8000, "file_mean": 5000, **options}
    async with (
        running(registrations=registrations(certificate), **size) as server,
        aiohttp.ClientSession() as session,
    ):
        one = Client(server, session)
        one.tenant = (await one.sim("GET", "/world"))["tenants"][0]
        yield one


@pytest.fixture
async def reader() -> AsyncIterator[Client]:
    async with client() as one:
        yield await one.become(READER)


@pytest.fixture
async def writer() -> AsyncIterator[Client]:
    async with client() as one:
        await one.consent(READER)
        yield await one.become(RESTORER)
