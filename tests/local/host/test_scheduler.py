"""The app on a Durable Task Scheduler: TLS, the hub's name and a token of the app's identity."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.internal import orchestrator_service_pb2_grpc as rpc

from local.host.settings import OVERRIDE_PREFIX, _override, read_settings
from local.host.taskhub.relay import SchedulerHub
from local.host.taskhub.scheduler import BadConnection, Connection, Identity, read_connection
from tests.local.host.running import ROOT, end, eventually, launch, write_app
from tests.local.host.schedulers import IdentityEndpoint, Scheduler

APP = """
@app.route(route="start", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    return func.HttpResponse(await client.schedule_new_orchestration("twice", input=21))

@app.route(route="state/{id}", methods=["GET"])
@app.durable_client_input(client_name="client")
async def state(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    s = await client.get_orchestration_state(req.route_params["id"])
    return func.HttpResponse(json.dumps(s and s.serialized_output))

@app.orchestration_trigger(context_name="ctx")
def twice(ctx: task.OrchestrationContext, number: int):
    return (yield ctx.call_activity("double", input=number))

@app.activity_trigger(input_name="number")
def double(number: int) -> int:
    return number * 2
"""
HOST_JSON = json.dumps(
    {
        "version": "2.0",
        "extensions": {
            "http": {"routePrefix": ""},
            "durableTask": {
                "hubName": "%TASK_HUB%",
                "storageProvider": {"type": "azureManaged", "connectionStringName": "SCHEDULER"},
            },
        },
    }
)


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[Scheduler]:
    serving = Scheduler(tmp_path / "scheduler.sqlite", "production")
    yield serving
    serving.stop()


class Credential:
    """An azure-identity credential: the scheduler knows its tokens."""

    def __init__(self, scheduler: Scheduler, seconds: float = 3600) -> None:
        self._scheduler, self._seconds = scheduler, seconds
        self.asked: list[str] = []

    def get_token(self, scope: str) -> Any:
        self.asked.append(scope)
        token = f"token-{len(self.asked)}"
        self._scheduler.tokens = {token}
        return SimpleNamespace(token=token, expires_on=time.time() + self._seconds)


def relay_to(scheduler: Scheduler, credential: Any, **changed: Any) -> SchedulerHub:
    named = {"task_hub": "production", **changed}
    connection = Connection("127.0.0.1", scheduler.port, True, "ManagedIdentity", **named)
    return SchedulerHub(connection, credential=credential, roots=scheduler.roots)


def stub_of(address: str) -> tuple[Any, Any]:
    channel = grpc.insecure_channel(address)
    return channel, rpc.TaskHubSidecarServiceStub(channel)


def test_the_app_runs_on_a_scheduler_with_settings_alone(
    tmp_path: Path, scheduler: Scheduler
) -> None:
    issued: list[tuple[str, str | None]] = []

    def issue(resource: str, client_id: str | None) -> str:
        issued.append((resource, client_id))
        scheduler.tokens.add("token-of-the-app")
        return "token-of-the-app"

    identity = IdentityEndpoint(issue)
    roots = tmp_path / "roots.pem"
    roots.write_bytes(scheduler.roots)
    text = f"Endpoint={scheduler.endpoint};Authentication=ManagedIdentity;ClientID=app-id"
    host = launch(
        write_app(tmp_path / "app", APP, HOST_JSON),
        *("--hub", "scheduler", "--workers", "2"),
        SCHEDULER=text,
        TASK_HUB="production",
        GRPC_DEFAULT_SSL_ROOTS_FILE_PATH=str(roots),
        **identity.environment,
    )
    try:
        assert host.ready, host.log()
        instance = host.post("/start").body.decode()
        eventually(lambda: host.get(f"/state/{instance}").json() == "42")
    finally:
        end(host)
        identity.stop()
    assert issued == [("https://durabletask.io", "app-id")]  # one token serves all calls
    methods = {call["method"] for call in scheduler.seen}
    assert {"StartInstance", "GetInstance", "GetWorkItems", "CompleteActivityTask"} <= methods
    for call in scheduler.seen:
        assert call["taskhub"] == "production"
        assert call["authorization"] == "Bearer token-of-the-app"
        assert call["x-user-agent"].startswith("durabletask-python/")
        if call["method"] in ("GetWorkItems", "CompleteOrchestratorTask"):
            assert call["workerid"].startswith("local-")
    assert "token-of-the-app" not in host.log()


def test_a_token_is_asked_for_again_before_it_ends(scheduler: Scheduler) -> None:
    credential = Credential(scheduler, seconds=60)
    hub = relay_to(scheduler, credential)
    channel, stub = stub_of(hub.start())
    for _ in range(2):
        assert not stub.GetInstance(pb.GetInstanceRequest(instanceId="nobody")).exists
    channel.close()
    hub.stop()
    assert credential.asked == ["https://durabletask.io/.default"] * 2
    assert [call["authorization"] for call in scheduler.seen] == [
        "Bearer token-1",
        "Bearer token-2",
    ]


def test_refusals_come_through_as_they_are(scheduler: Scheduler) -> None:
    credential = Credential(scheduler)
    for changed, sentence in (
        ({"task_hub": "staging"}, "there is no task hub 'staging'"),
        ({}, "the token is not accepted"),
    ):
        hub = relay_to(scheduler, credential, **changed)
        channel, stub = stub_of(hub.start())
        if not changed:
            stub.Hello(pb.google_dot_protobuf_dot_empty__pb2.Empty())
            scheduler.tokens.clear()
        with pytest.raises(grpc.RpcError) as caught:
            stub.StartInstance(pb.CreateInstanceRequest(instanceId="i", name="o"))
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert caught.value.details() == sentence
        with pytest.raises(grpc.RpcError) as caught:
            next(stub.GetWorkItems(pb.GetWorkItemsRequest()))
        assert caught.value.details() == sentence
        channel.close()
        hub.stop()


def test_a_certificate_that_nobody_vouches_for_is_refused(scheduler: Scheduler) -> None:
    connection = Connection("127.0.0.1", scheduler.port, True, "None", "production")
    hub = SchedulerHub(connection)
    channel, stub = stub_of(hub.start())
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetInstance(pb.GetInstanceRequest(instanceId="i"), timeout=20)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    channel.close()
    hub.stop()
    assert scheduler.seen == []  # nothing was said before the certificate was checked


def test_an_identity_without_a_token_is_said_to_the_caller(scheduler: Scheduler) -> None:
    class Nobody:
        def get_token(self, _: str) -> Any:
            raise ValueError("no identity is assigned to this app")

    hub = relay_to(scheduler, Nobody())
    channel, stub = stub_of(hub.start())
    with pytest.raises(grpc.RpcError) as caught:
        stub.GetInstance(pb.GetInstanceRequest(instanceId="i"))
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert "no identity is assigned" in caught.value.details()
    channel.close()
    hub.stop()
    assert scheduler.seen == []


async def test_a_token_at_hand_is_used_while_the_identity_is_away() -> None:
    now = [1000.0]
    tokens = [SimpleNamespace(token="first", expires_on=5000.0)]

    class Flaky:
        def get_token(self, _: str) -> Any:
            if not tokens:
                raise ConnectionError("away")
            return tokens.pop()

    identity = Identity(Flaky(), clock=lambda: now[0])
    assert await identity.header() == (("authorization", "Bearer first"),)
    now[0] = 4900.0
    assert await identity.header() == (("authorization", "Bearer first"),)
    now[0] = 5001.0
    with pytest.raises(RuntimeError, match="away"):
        await identity.header()


def test_connection_strings() -> None:
    found = read_connection(
        "Endpoint=https://x.westeurope.durabletask.io;Authentication=ManagedIdentity;"
        "ClientID=abc;TaskHub=prod;",
        "from-host-json",
    )
    assert found == Connection(
        "x.westeurope.durabletask.io", 443, True, "ManagedIdentity", "prod", "abc"
    )
    emulator = read_connection("endpoint=http://localhost:8080;authentication=none", "default")
    assert (emulator.target, emulator.is_secure) == ("localhost:8080", False)
    assert emulator.task_hub == "default"
    for wrong, word in (
        ("", "Endpoint"),
        ("Endpoint=nowhere;Authentication=None", "Endpoint"),
        ("Endpoint=https://x:y;Authentication=None", "Endpoint"),
        ("Endpoint=https://x", "Authentication"),
        ("Endpoint=https://x;Authentication=Password", "Authentication"),
        ("Endpoint=http://x;Authentication=ManagedIdentity", "https"),
        ("Endpoint=https://x;Authentication=None;Secret=y", "'Secret'"),
        ("Endpoint=https://x;Authentication", "no value"),
    ):
        with pytest.raises(BadConnection, match=re.escape(word)):
            read_connection(wrong, "hub")


def test_host_json_for_the_scheduler_is_what_the_settings_make_of_it() -> None:
    """docs/task-hubs.md shows both ways: they have to be the same, and readable."""
    page = (ROOT / "docs/task-hubs.md").read_text()
    settings = dict(re.findall(r"^(\w+) = (\S+)", page, re.MULTILINE))
    document = json.loads((ROOT / "host.json").read_text())
    azure_storage = document["extensions"]["durableTask"]["storageProvider"].copy()
    assert azure_storage["type"] == "AzureStorage"
    for name, value in settings.items():
        if name.startswith(OVERRIDE_PREFIX):
            _override(document, name.removeprefix(OVERRIDE_PREFIX).split("__"), value)
    made = document["extensions"]["durableTask"]
    for only_azure_storage in set(azure_storage) - {"type"}:
        del made["storageProvider"][only_azure_storage]
    block = re.search(r'```json\n("durableTask": .*?)```', page, re.DOTALL)
    assert block is not None
    assert made == json.loads("{" + block[1] + "}")["durableTask"]
    environment = {k: v for k, v in settings.items() if k.startswith(OVERRIDE_PREFIX)}
    read = read_settings(ROOT, {**environment, "TASK_HUB": "production"})
    assert read.scheduler_setting == "DURABLE_TASK_SCHEDULER_CONNECTION_STRING"
    connection = settings["DURABLE_TASK_SCHEDULER_CONNECTION_STRING"]
    assert read_connection(connection, "production").authentication == "ManagedIdentity"
