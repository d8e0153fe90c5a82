"""Azurite on a leash: on a port of its own, for real, ended with its owner however that ends."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from azure.core.exceptions import HttpResponseError
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient

from local.azurite import Account, Azurite
from local.children import Child, ChildFailed
from tests.local.processes import GONE_SECONDS, processes_about, wait_until_nothing_is_left

PROJECT = Path(__file__).parents[2]

OWNER = """
import sys, time
from pathlib import Path
from local.azurite import Azurite
from local.signals import orderly_end
where = Path(sys.argv[1])
with orderly_end():
    azurite = Azurite(log=where / "azurite.log", directory=where / "storage")
    try:
        print("ready", flush=True)
        time.sleep(600)
    finally:
        azurite.stop()
        print("stopped", flush=True)
"""


@pytest.fixture
def owner(tmp_path: Path):
    """A process that owns an Azurite and would keep it for ten minutes."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path)],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()


def test_azurite_serves_tables_and_blobs_of_its_own_account(tmp_path: Path) -> None:
    azurite = Azurite(log=tmp_path / "azurite.log")
    try:
        with TableServiceClient.from_connection_string(azurite.connection) as tables:
            table = tables.create_table("Customers")
            table.create_entity({"PartitionKey": "p", "RowKey": "c"})
            assert table.get_entity("p", "c")["RowKey"] == "c"
        with BlobServiceClient.from_connection_string(azurite.connection) as blobs:
            blobs.create_container("vault").upload_blob("a/b", b"content")
            assert blobs.get_blob_client("vault", "a/b").download_blob().readall() == b"content"
        stranger = azurite.connection.replace(azurite.account.key, Account.new().key)
        with (
            BlobServiceClient.from_connection_string(stranger) as blobs,
            pytest.raises(HttpResponseError),
        ):
            blobs.get_blob_client("vault", "a/b").download_blob()
    finally:
        azurite.stop()
    assert not azurite.child.running


def test_two_azurites_side_by_side(tmp_path: Path) -> None:
    first = Azurite(log=tmp_path / "1.log")
    try:
        second = Azurite(log=tmp_path / "2.log")
        try:
            assert first.blobs != second.blobs
        finally:
            second.stop()
    finally:
        first.stop()


def test_listens_on_the_loopback_only(tmp_path: Path) -> None:
    azurite = Azurite(log=tmp_path / "azurite.log")
    try:
        port = int(azurite.blobs.split(":")[2].split("/")[0])
        with pytest.raises(ConnectionRefusedError):
            # 127.0.0.2 is this machine too, reached only by a server that listens everywhere.
            socket.create_connection(("127.0.0.2", port), timeout=5).close()
    finally:
        azurite.stop()


def test_data_survives_a_restart(tmp_path: Path) -> None:
    account = Account.new()
    for expected in (0, 1):
        azurite = Azurite(
            log=tmp_path / "azurite.log", directory=tmp_path / "storage", account=account
        )
        try:
            with BlobServiceClient.from_connection_string(azurite.connection) as blobs:
                assert len(list(blobs.list_containers())) == expected
                if not expected:
                    blobs.create_container("kept")
        finally:
            azurite.stop()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_nothing_is_left_when_the_owner_is_asked_to_end(
    owner: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    assert len(processes_about(tmp_path)) >= 3  # owner, leash, Azurite
    os.killpg(owner.pid, number)  # as a terminal does
    assert owner.stdout.readline() == "stopped\n"
    owner.wait(GONE_SECONDS)
    wait_until_nothing_is_left(tmp_path)


def test_nothing_is_left_when_the_owner_is_killed(
    owner: subprocess.Popen[str], tmp_path: Path
) -> None:
    owner.kill()
    owner.wait(GONE_SECONDS)
    wait_until_nothing_is_left(tmp_path)


def test_nothing_is_left_when_the_leash_is_killed(
    owner: subprocess.Popen[str], tmp_path: Path
) -> None:
    leash = next(
        pid
        for pid in processes_about(tmp_path)
        if b"leash.py" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )
    os.kill(leash, signal.SIGKILL)
    wait = time.monotonic() + GONE_SECONDS
    while any(pid != owner.pid for pid in processes_about(tmp_path)):
        assert time.monotonic() < wait
        time.sleep(0.05)


def test_a_child_that_dies_while_starting_is_reported_with_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; print('no such option'); sys.exit(3)"]
    with (
        Child("The part", command, log=tmp_path / "part.log") as part,
        pytest.raises(ChildFailed, match=r"(?s)The part ended.*exit code 3.*no such option"),
    ):
        part.wait_until(lambda _: None, 60)


def test_a_child_that_ignores_the_polite_signal_is_ended(tmp_path: Path) -> None:
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); "
    command = [sys.executable, "-c", stubborn + "time.sleep(600)", str(tmp_path)]
    with Child("The part", command, log=tmp_path / "part.log", grace_seconds=0.5) as part:
        part.wait_until(lambda output: output or None, 60)
    assert not part.running
    wait_until_nothing_is_left(tmp_path)


def test_what_a_child_started_ends_with_it(tmp_path: Path) -> None:
    parent = (
        "import subprocess, sys;"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', sys.argv[1]]);"
        "print('up', flush=True)"
    )
    with Child(
        "The part", [sys.executable, "-c", parent, str(tmp_path)], log=tmp_path / "part.log"
    ) as part:
        part.wait_until(lambda output: output or None, 60)
    wait_until_nothing_is_left(tmp_path)
