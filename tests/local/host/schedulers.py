"""A Durable Task Scheduler of ours: the hub on disk behind TLS, for who shows the right papers."""

import asyncio
import datetime
import ipaddress
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from local.host.taskhub.sqlite.hub import OPTIONS, Hub

STREAMS = ("GetWorkItems", "StreamInstanceHistory")


def certificate() -> tuple[bytes, bytes]:
    """A key and a certificate that signs itself, for this machine, valid for an hour."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "scheduler of the tests")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return private, signed.public_bytes(serialization.Encoding.PEM)


class _Papers(grpc.aio.ServerInterceptor):
    """Lets through who names the hub and has a token that counts; keeps what everybody showed."""

    def __init__(self, is_good: Callable[[dict[str, str]], str | None]) -> None:
        self.is_good = is_good
        self.seen: list[dict[str, str]] = []

    async def intercept_service(self, continuation: Any, details: Any) -> Any:
        shown = {name: str(value) for name, value in details.invocation_metadata}
        method = details.method.rpartition("/")[2]
        self.seen.append({"method": method, **shown})
        wrong = self.is_good(shown)
        if wrong is None:
            return await continuation(details)

        async def refuse(_: Any, context: Any) -> Any:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, wrong)

        if method in STREAMS:
            return grpc.unary_stream_rpc_method_handler(refuse)
        return grpc.unary_unary_rpc_method_handler(refuse)


class Scheduler:
    """Serves in a thread until `stop`. `seen` is the metadata of every call."""

    def __init__(self, file: Path, task_hub: str) -> None:
        self._file = file
        self.key, self.roots = certificate()
        self.tokens: set[str] = set()
        self._papers = _Papers(self._wrong)
        self._task_hub = task_hub
        self.port = 0
        self._stop: Callable[[], Any] = lambda: None
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)))
        self._thread.start()
        assert ready.wait(20)

    @property
    def seen(self) -> list[dict[str, str]]:
        return self._papers.seen

    @property
    def endpoint(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def _wrong(self, shown: dict[str, str]) -> str | None:
        if shown.get("taskhub") != self._task_hub:
            return f"there is no task hub '{shown.get('taskhub')}'"
        token = shown.get("authorization", "").removeprefix("Bearer ")
        return None if token in self.tokens else "the token is not accepted"

    async def _serve(self, ready: threading.Event) -> None:
        hub, stop = Hub(self._file, is_durable=False), asyncio.Event()
        await hub._open()
        server = grpc.aio.server(interceptors=[self._papers], options=OPTIONS)
        hub._service.add_to(server)
        credentials = grpc.ssl_server_credentials([(self.key, self.roots)])
        self.port = server.add_secure_port("127.0.0.1:0", credentials)
        await server.start()
        loop = asyncio.get_running_loop()
        self._stop = lambda: loop.call_soon_threadsafe(stop.set)
        ready.set()
        await stop.wait()
        await server.stop(0.2)
        await hub.stop()

    def stop(self) -> None:
        self._stop()
        self._thread.join()


class IdentityEndpoint:
    """The address that App Service gives an app for its managed identity."""

    SECRET = "only for this app"

    def __init__(self, issue: Callable[[str, str | None], str], seconds: float = 3600) -> None:
        outer = self
        self.asked: list[str] = []

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                from urllib.parse import parse_qs, urlsplit

                query = parse_qs(urlsplit(self.path).query)
                outer.asked.append(self.path)
                if self.headers.get("X-IDENTITY-HEADER") != outer.SECRET:
                    self.send_error(401)
                    return
                token = issue(query["resource"][0], query.get("client_id", [None])[0])
                body = json.dumps(
                    {
                        "access_token": token,
                        "expires_on": str(int(time.time() + seconds)),
                        "resource": query["resource"][0],
                        "token_type": "Bearer",
                    }
                ).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def environment(self) -> dict[str, str]:
        return {
            "IDENTITY_ENDPOINT": f"http://127.0.0.1:{self._server.server_port}/msi/token",
            "IDENTITY_HEADER": self.SECRET,
        }

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
