"""The run's certificates: real verification accepts them for this machine and nothing else."""

import ssl
import stat
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import httpx
import pytest
from azure.identity import CertificateCredential
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from local.certs import Certificates, make_certificates, make_client_credential


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def https_server(certificates: Certificates):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server_certificate, certificates.server_key)
    server = HTTPServer(("127.0.0.1", 0), Answer)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_the_bundle_verifies_the_server(certificates: Certificates, host: str) -> None:
    trust = ssl.create_default_context(cafile=certificates.bundle)
    trust.verify_flags |= ssl.VERIFY_X509_STRICT
    with https_server(certificates) as port:
        answer = httpx.get(f"https://{host}:{port}/", verify=trust, trust_env=False)
    assert answer.status_code == 204


def test_without_the_bundle_the_server_is_refused(certificates: Certificates) -> None:
    with https_server(certificates) as port, pytest.raises(httpx.ConnectError, match="CERTIFICATE"):
        httpx.get(f"https://127.0.0.1:{port}/", trust_env=False)


def test_another_runs_bundle_is_no_help(certificates: Certificates, tmp_path: Path) -> None:
    other = ssl.create_default_context(cafile=make_certificates(tmp_path).authority)
    with https_server(certificates) as port, pytest.raises(httpx.ConnectError, match="CERTIFICATE"):
        httpx.get(f"https://127.0.0.1:{port}/", verify=other, trust_env=False)


def test_the_bundle_keeps_the_public_roots(certificates: Certificates) -> None:
    assert certificates.bundle.read_text().count("BEGIN CERTIFICATE") > 50


def test_the_client_credential_is_what_azure_identity_wants(tmp_path: Path) -> None:
    made = make_client_credential(tmp_path / "client.pem")
    CertificateCredential("tenant", "client", certificate_path=str(made.pem)).close()
    key = serialization.load_pem_private_key(made.pem.read_bytes(), None)
    known = x509.load_pem_x509_certificate(made.certificate_pem.encode())
    assert known.public_key() == key.public_key()
    assert stat.S_IMODE(made.pem.stat().st_mode) == 0o600
