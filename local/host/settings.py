"""What the host is told: host.json with its overrides, and app settings from the environment."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OVERRIDE_PREFIX = "AzureFunctionsJobHost__"
DEFAULT_BODY_LIMIT_BYTES = 104_857_600  # the platform's 100 MB
SCHEDULER_SETTING = "DURABLE_TASK_SCHEDULER_CONNECTION_STRING"


class BadSettings(ValueError):
    """host.json or an app setting cannot be used; the message says which and why."""


@dataclass(frozen=True)
class HostSettings:
    """Everything the host itself reads; the app reads its own settings from the environment."""

    app_root: Path
    script_file: str
    route_prefix: str
    hub_name: str
    default_version: str | None
    """The version of an orchestration that is started without one."""
    max_http_requests: int
    max_activities: int
    max_orchestrators: int
    max_entities: int
    body_limit_bytes: int
    homepage_disabled: bool
    scheduler_setting: str
    """The name of the setting with a Durable Task Scheduler's connection string."""
    storage_connection: str | None
    host_id: str
    environment: Mapping[str, str] = field(repr=False)

    def is_disabled(self, function: str) -> bool:
        """Whether AzureWebJobs.<function>.Disabled (or its __ form) is true."""
        return any(
            self.environment.get(name, "").lower() in ("true", "1")
            for name in (
                f"AzureWebJobs.{function}.Disabled",
                f"AzureWebJobs__{function}__Disabled",
            )
        )

    def resolve(self, text: str) -> str:
        """Replace each %NAME% by the app setting of that name; raises BadSettings if unset."""

        def value(match: re.Match[str]) -> str:
            found = self.environment.get(match[1])
            if found is None:
                raise BadSettings(f"'%{match[1]}%' does not resolve to an app setting")
            return found

        return re.sub(r"%([^%]+)%", value, text)


def read_settings(app_root: Path, environment: Mapping[str, str] = os.environ) -> HostSettings:
    """Read host.json below `app_root` and the environment; raises BadSettings."""
    document = _read_host_json(app_root / "host.json")
    for name, value in environment.items():
        if name.startswith(OVERRIDE_PREFIX):
            _override(document, name.removeprefix(OVERRIDE_PREFIX).split("__"), value)
    extensions = document.get("extensions", {})
    http, durable = extensions.get("http", {}), extensions.get("durableTask", {})
    cores = os.cpu_count() or 1
    storage = environment.get("AzureWebJobsStorage")
    provider = durable.get("storageProvider", {})
    settings = HostSettings(
        app_root=app_root,
        script_file=environment.get("PYTHON_SCRIPT_FILE_NAME", "function_app.py"),
        route_prefix=str(http.get("routePrefix", "api")).strip("/"),
        hub_name="",
        default_version=durable.get("defaultVersion"),
        max_http_requests=_count(http, "maxConcurrentRequests", 100),
        max_activities=_count(durable, "maxConcurrentActivityFunctions", 10 * cores),
        max_orchestrators=_count(durable, "maxConcurrentOrchestratorFunctions", 10 * cores),
        max_entities=_count(durable, "maxConcurrentEntityFunctions", 10 * cores),
        body_limit_bytes=_count(
            environment, "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", DEFAULT_BODY_LIMIT_BYTES
        ),
        homepage_disabled=environment.get("AzureWebJobsDisableHomepage", "").lower() == "true",
        scheduler_setting=str(provider.get("connectionStringName", SCHEDULER_SETTING)),
        storage_connection=storage or None,
        host_id=environment.get("AzureFunctionsWebHost__hostid", "local"),
        environment=environment,
    )
    hub_name = settings.resolve(str(durable.get("hubName", "TestHubName")))
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]{2,44}", hub_name):
        raise BadSettings(
            f"the task hub name '{hub_name}' must be 3 to 45 letters and digits, a letter first"
        )
    object.__setattr__(settings, "hub_name", hub_name)
    return settings


def _read_host_json(file: Path) -> dict[str, Any]:
    if not file.exists():
        return {}
    try:
        document = json.loads(file.read_text("utf-8"))
    except ValueError as fault:
        raise BadSettings(f"host.json is not JSON: {fault}") from fault
    if not isinstance(document, dict) or document.get("version") != "2.0":
        raise BadSettings('host.json must be an object with "version": "2.0"')
    return document


def _override(document: dict[str, Any], path: list[str], value: str) -> None:
    for part in path[:-1]:
        inner = document.setdefault(part, {})
        if not isinstance(inner, dict):
            raise BadSettings(f"{OVERRIDE_PREFIX}{'__'.join(path)} does not fit host.json")
        document = inner
    document[path[-1]] = value


def _count(section: Mapping[str, Any], key: str, default: int) -> int:
    try:
        number = int(section.get(key, default))
    except (TypeError, ValueError) as fault:
        raise BadSettings(f"{key} must be a whole number, not {section[key]!r}") from fault
    if number == -1:  # the platform's word for "no limit"
        return 1_000_000_000
    if number < 1:
        raise BadSettings(f"{key} must be at least 1, not {number}")
    return number
