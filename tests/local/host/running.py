"""Runs sample apps through the real host, over real sockets, as a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
HEAD = """
import asyncio, json, logging, pathlib, time
from datetime import timedelta
import azure.durable_functions as df
import azure.functions as func
from durabletask import task

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)

"""
ROOT_PREFIX = '{"version": "2.0", "extensions": {"http": {"routePrefix": ""}}}'


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name]


@dataclass
class RunningHost:
    """A host process; `log()` is what it wrote to stderr, `lines` what it printed until ready."""

    process: subprocess.Popen[str]
    lines: list[str]
    ready: dict[str, Any]
    log_file: Path
    folder: Path
    stopped: bool = field(default=False)

    @property
    def url(self) -> str:
        return str(self.ready["url"])

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.ready["port"], timeout=60)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response: HTTPResponse = connection.getresponse()
            return Answer(response.status, response.getheaders(), response.read())
        finally:
            connection.close()

    def post(self, path: str, document: Any = None) -> Answer:
        body = b"" if document is None else json.dumps(document).encode()
        return self.request("POST", path, body, {"content-type": "application/json"})

    def get(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        return self.request("GET", path, None, headers)

    def log(self) -> str:
        return self.log_file.read_text()

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


def eventually(holds: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Poll until `holds` gives something true, and give that."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := holds():
            return found
        time.sleep(0.02)
    raise AssertionError("it never came true")


def launch(folder: Path, *arguments: str, **environment: str) -> RunningHost:
    log_file = folder / "host.log"
    with log_file.open("w") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "local.host",
                "--app-root",
                str(folder),
                "--port",
                "0",
                "--ready-json",
                *arguments,
            ],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
        )
    lines: list[str] = []
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{"):
            return RunningHost(process, lines, json.loads(line), log_file, folder)
        lines.append(line.rstrip())
    process.wait(30)
    return RunningHost(process, lines, {}, log_file, folder)


def end(host: RunningHost) -> None:
    if host.process.poll() is None:
        host.process.send_signal(signal.SIGTERM)
        try:
            host.process.wait(20)
        except subprocess.TimeoutExpired:
            host.process.kill()
            host.process.wait()
    if host.process.stdout is not None:
        host.process.stdout.close()


def write_app(folder: Path, source: str, host_json: str = ROOT_PREFIX) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "function_app.py").write_text(HEAD + source)
    (folder / "host.json").write_text(host_json)
    return folder
