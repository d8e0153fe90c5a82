"""The hub's file: another version, another program, a full disk, a pulled plug."""

import sqlite3
from pathlib import Path
from typing import Any

import grpc
import pytest
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.internal import orchestrator_service_pb2_grpc as rpc

from local.host.taskhub.choose import BadHub, make_hub
from local.host.taskhub.sqlite.chaos import BadSwitch
from local.host.taskhub.sqlite.hub import SqliteHub
from local.host.taskhub.sqlite.schema import APPLICATION, INSTANCES, VERSION, BadDatabase
from tests.local.host.running import launch, write_app


def change(file: Path, *statements: str) -> None:
    with sqlite3.connect(file) as db:
        for statement in statements:
            db.execute(statement)
    db.close()


def test_a_file_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "hub.sqlite"
    hub = SqliteHub(file)
    hub.start()
    hub.stop()
    change(file, f"PRAGMA user_version = {VERSION + 1}")
    before = file.read_bytes()
    with pytest.raises(BadDatabase, match="written by a newer version"):
        SqliteHub(file).start()
    assert file.read_bytes() == before


def test_a_file_of_an_older_version_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "hub.sqlite"
    change(
        file,
        *filter(str.strip, INSTANCES.split(";")),
        f"PRAGMA application_id = {APPLICATION}",
        "PRAGMA user_version = 1",
        "INSERT INTO instances (id, name, status, execution, created, updated) "
        "VALUES ('old', 'o', 5, 'e', 1, 1)",
        "INSERT INTO payloads (key) VALUES (1)",
        "INSERT INTO messages (instance, kind, due, at, event) VALUES (1, 1, 0, 1, x'')",
    )
    hub = SqliteHub(file)
    channel = grpc.insecure_channel(hub.start())
    stub: Any = rpc.TaskHubSidecarServiceStub(channel)
    items = stub.GetWorkItems(pb.GetWorkItemsRequest(), timeout=20)
    assert next(items).orchestratorRequest.instanceId == "old"
    stub.SignalEntity(pb.SignalEntityRequest(instanceId="@new@one", name="add"))
    assert next(items).entityRequestV2.instanceId == "@new@one"
    items.cancel()
    channel.close()
    hub.stop()


def test_a_file_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    database, text = tmp_path / "other.sqlite", tmp_path / "notes.txt"
    change(database, "CREATE TABLE theirs (a)")
    text.write_text("no database at all " * 100)
    for file in (database, text):
        before = file.read_bytes()
        with pytest.raises(BadDatabase, match=r"another program|not a database"):
            SqliteHub(file).start()
        assert file.read_bytes() == before


def test_the_host_says_it_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "newer.sqlite"
    change(
        file,
        "CREATE TABLE of_tomorrow (a)",
        f"PRAGMA application_id = {APPLICATION}",
        f"PRAGMA user_version = {VERSION + 1}",
    )
    before = file.read_bytes()
    folder = write_app(
        tmp_path / "app",
        """
@app.orchestration_trigger(context_name="ctx")
def nothing(ctx: task.OrchestrationContext, _):
    return 1
""",
    )
    host = launch(folder, "--hub", f"sqlite:{file}")
    assert host.process.returncode == 1
    assert "was written by a newer version of this program" in host.log()
    assert file.read_bytes() == before
    assert "Traceback" not in host.log()
    assert host.process.stdout is not None
    host.process.stdout.close()


def test_names_of_hubs() -> None:
    for wrong in ("redis", "sqlite:", "grpc:nowhere"):
        with pytest.raises(BadHub):
            make_hub(wrong, None, None)
    with pytest.raises(BadSwitch, match="survives"):
        make_hub("memory", None, "reorder=1")
    hub, _ = make_hub("grpc:127.0.0.1:8080", None, None)
    assert hub is not None
    assert hub.start() == "127.0.0.1:8080"
    with pytest.raises(BadHub, match="needs the setting"):
        make_hub("scheduler", None, None, environment={})
    with pytest.raises(BadSwitch, match="of our own"):
        make_hub("scheduler", None, "reorder=1", environment={})


def test_disk_full_is_said_and_nothing_half_written_stays(tmp_path: Path) -> None:
    """Disaster: disk full. Callers are told, what was there stays, and it goes on with room."""
    hub = SqliteHub(tmp_path / "hub.sqlite")
    channel = grpc.insecure_channel(hub.start())
    stub: Any = rpc.TaskHubSidecarServiceStub(channel)
    try:
        stub.StartInstance(pb.CreateInstanceRequest(instanceId="before", name="o"))
        store = hub.hub._delivery.store
        assert store._db is not None
        pages = store._db.execute("PRAGMA page_count").fetchone()[0]
        store._db.execute(f"PRAGMA max_page_count = {pages + 5}")
        big = pb.CreateInstanceRequest(instanceId="too-much", name="o")
        big.input.value = "x" * 1_000_000
        with pytest.raises(grpc.RpcError) as caught:
            stub.StartInstance(big)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "full" in caught.value.details()
        assert not stub.GetInstance(pb.GetInstanceRequest(instanceId="too-much")).exists
        assert stub.GetInstance(pb.GetInstanceRequest(instanceId="before")).exists
        store._db.execute("PRAGMA max_page_count = 1000000")
        stub.StartInstance(big)
        assert stub.GetInstance(pb.GetInstanceRequest(instanceId="too-much")).exists
    finally:
        channel.close()
        hub.stop()


def test_a_pulled_plug_leaves_a_file_that_goes_on(tmp_path: Path) -> None:
    """What was answered is in the file: a copy taken at any moment is a hub that works."""
    file = tmp_path / "hub.sqlite"
    hub = SqliteHub(file)
    channel = grpc.insecure_channel(hub.start())
    stub: Any = rpc.TaskHubSidecarServiceStub(channel)
    for number in range(20):
        stub.StartInstance(pb.CreateInstanceRequest(instanceId=f"i{number}", name="o"))
    copy = tmp_path / "copy.sqlite"
    for end in ("", "-wal"):
        Path(f"{copy}{end}").write_bytes(Path(f"{file}{end}").read_bytes())
    channel.close()
    hub.stop()
    again = SqliteHub(copy)
    channel = grpc.insecure_channel(again.start())
    stub = rpc.TaskHubSidecarServiceStub(channel)
    items = stub.GetWorkItems(pb.GetWorkItemsRequest(), timeout=20)
    seen = {next(items).orchestratorRequest.instanceId for _ in range(20)}
    items.cancel()
    channel.close()
    again.stop()
    assert seen == {f"i{number}" for number in range(20)}
