"""Floods and oversized requests against the running local host: a clear 4xx, and it goes on."""

import contextlib
import socket
from urllib.parse import urlsplit

import pytest

from tests.e2e.scene import Scene


def _status(scene: Scene, head: str, body: bytes = b"") -> int:
    """The status of a request written by hand; the front may answer before all is sent."""
    url = urlsplit(scene.stack.urls.api)
    with socket.create_connection((str(url.hostname), int(url.port or 80)), timeout=30) as line:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has answered
            line.sendall(head.encode("latin-1") + body)
        return int(line.recv(200).split()[1])


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ("".join(f"x-{n}: 1\r\n" for n in range(150)), {431}),
        ("".join(f"x-{n}: {'v' * 600}\r\n" for n in range(70)), {431}),
        ("".join(f"x-{n}: {'v' * 6000}\r\n" for n in range(50)), {400, 431}),
        (f"Authorization: Bearer {'e' * 20_000}\r\n", {401}),
        ("Authorization: Bearer eyJhbGciOiJub25lIn0.e30.\r\n", {401}),
    ],
)
def test_header_floods_are_refused(scene: Scene, headers: str, expected: set[int]) -> None:
    head = f"GET /api/v1/customers HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{headers}\r\n"
    assert _status(scene, head) in expected
    assert scene.partner.get("/partners/me")


def test_ten_megabytes_are_refused(scene: Scene) -> None:
    head = (
        "POST /api/v1/customers HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
        "Content-Type: application/json\r\nContent-Length: 10000000\r\n\r\n"
    )
    assert _status(scene, head, b"x" * 10_000_000) == 413
    assert scene.partner.get("/partners/me")
