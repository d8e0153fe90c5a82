"""host.json, app settings and keys, through the real host."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.local.host.running import RunningHost

APP = """
@app.route(route="open", methods=["GET"])
async def open_door(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("open")

@app.route(route="locked", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
async def locked(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("locked")

@app.route(route="master", methods=["GET"], auth_level=func.AuthLevel.ADMIN)
async def master(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("master")
"""
Serve = Callable[..., RunningHost]


def test_prefix_disabled_function_and_home_page(serve: Serve) -> None:
    host = serve(
        APP,
        host_json='{"version": "2.0"}',
        AzureWebJobsDisableHomepage="true",
        **{"AzureWebJobs.locked.Disabled": "true"},
    )
    assert host.get("/api/open").status == 200
    assert host.get("/open").status == 404
    assert host.get("/api/locked").status == 404
    assert host.get("/api/master").status == 200  # keys are not checked by default, as in func
    assert host.get("/").status == 204
    assert "locked: disabled" in host.lines


def test_keys_when_asked_for(serve: Serve) -> None:
    host = serve(APP, "--enable-auth", LOCAL_HOST_KEY="hk", LOCAL_MASTER_KEY="mk")
    assert host.get("/open").status == 200
    refused = host.get("/locked")
    assert (refused.status, refused.body) == (401, b"")
    assert host.get("/locked?code=hk").status == 200
    assert host.get("/locked", {"x-functions-key": "mk"}).status == 200
    assert host.get("/locked?code=hk", {"x-functions-key": "wrong"}).status == 401
    assert host.get("/master?code=hk").status == 401
    assert host.get("/master?code=mk").status == 200
    assert host.get("/admin/host/status").status == 401
    assert host.get("/admin/host/status?code=mk").status == 200


def test_ready_file_and_settings_that_override_host_json(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "ready.json"
    host = serve(
        APP,
        "--ready-file",
        str(file),
        AzureFunctionsJobHost__extensions__http__routePrefix="v9",
        FUNCTIONS_REQUEST_BODY_SIZE_LIMIT="10",
    )
    assert json.loads(file.read_text())["url"] == host.url
    assert host.get("/v9/open").status == 200
    assert host.request("GET", "/v9/open", b"x" * 11).status == 413


def test_hub_name_that_does_not_resolve_is_an_error(serve: Serve) -> None:
    document = {"version": "2.0", "extensions": {"durableTask": {"hubName": "%NO_SUCH_NAME%"}}}
    host = serve(APP, host_json=json.dumps(document))
    assert host.process.returncode == 1
    assert "%NO_SUCH_NAME%" in host.log()


def test_broken_host_json_is_one_line(serve: Serve) -> None:
    host = serve(APP, host_json="{")
    assert host.process.returncode == 1
    assert "error: host.json is not JSON" in host.log()
    assert "Traceback" not in host.log()


VERSIONED = """
@app.route(route="start", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    instance = await client.schedule_new_orchestration("parent")
    state = await client.wait_for_orchestration_completion(instance, timeout=20)
    return func.HttpResponse(state.serialized_output)

@app.orchestration_trigger(context_name="ctx")
def parent(ctx: task.OrchestrationContext, _):
    child = yield ctx.call_sub_orchestrator("child")
    return [ctx.version, child]

@app.orchestration_trigger(context_name="ctx")
def child(ctx: task.OrchestrationContext, _):
    return ctx.version
"""


def test_orchestrations_without_a_version_get_the_default_one(serve: Serve) -> None:
    document = {
        "version": "2.0",
        "extensions": {"http": {"routePrefix": ""}, "durableTask": {"defaultVersion": "1.0"}},
    }
    host = serve(VERSIONED, host_json=json.dumps(document))
    assert host.post("/start").json() == ["1.0", "1.0"]
