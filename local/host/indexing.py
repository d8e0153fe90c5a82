"""Finding the app's functions with Microsoft's worker runtime, and what their triggers ask for."""

import json
import sys
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from local.host.settings import HostSettings

SUPPORTED_TRIGGERS = frozenset(
    {"httpTrigger", "timerTrigger", "orchestrationTrigger", "activityTrigger", "entityTrigger"}
)


class UnsupportedTrigger(ValueError):
    """The app has a trigger that this host does not serve; silence would be worse."""


@dataclass(frozen=True)
class Function:
    """One function of the app, as the host sees it."""

    name: str
    id: str
    """The worker's id, needed to invoke."""
    trigger: dict[str, Any]
    """The raw trigger binding, camelCase."""
    bindings: tuple[dict[str, Any], ...]
    retry: dict[str, str]
    disabled: bool

    @property
    def kind(self) -> str:
        """The trigger's type, e.g. httpTrigger."""
        return str(self.trigger["type"])

    @property
    def trigger_name(self) -> str:
        """The trigger's parameter: from the binding, never from the source."""
        return str(self.trigger["name"])

    @property
    def durable_name(self) -> str:
        """The name orchestrations use: the alias in the binding, else the function's name."""
        named = ("orchestration", "activity", "entityName")
        return next((str(self.trigger[n]) for n in named if self.trigger.get(n)), self.name)

    @property
    def client_bindings(self) -> tuple[str, ...]:
        """Names of the parameters that want a durable client."""
        return tuple(b["name"] for b in self.bindings if b["type"] == "durableClient")

    def methods(self) -> frozenset[str]:
        """The methods an HTTP function answers; empty means all."""
        return frozenset(str(method).upper() for method in self.trigger.get("methods") or ())


class _Record(SimpleNamespace):
    """Stands in for the worker's protobuf classes: the registry only reads attributes."""

    undefined, out, inout = 0, 1, 2


_PROTOS = SimpleNamespace(BindingInfo=_Record, RpcFunctionMetadata=_Record, RpcRetryOptions=_Record)


def index(settings: HostSettings) -> list[Function]:
    """Import the app and register its functions with the worker, in the app's order.

    Whatever the app's import or the worker's checks raise comes through unchanged. Once per
    process: the worker's registry and the imported app are global.
    """
    script = settings.app_root / settings.script_file
    if not script.is_file():
        raise FileNotFoundError(f"there is no {settings.script_file} in {settings.app_root}")
    for folder in (settings.app_root / ".python_packages/lib/site-packages", settings.app_root):
        sys.path.insert(0, str(folder))
    # Imported late: the worker imports the app's azure-functions, which takes its time.
    from azure_functions_runtime import loader
    from azure_functions_runtime.bindings.meta import load_binding_registry
    from azure_functions_runtime.handle_event import _functions as registry

    load_binding_registry()
    found = []
    for function in loader.index_function_app(str(script)):
        info = registry.add_indexed_function(function=function, protos=_PROTOS)
        bindings = tuple(json.loads(raw) for raw in function.get_raw_bindings())
        trigger_name = function.get_trigger().name
        trigger = next(b for b in bindings if b["name"] == trigger_name)
        found.append(
            Function(
                name=info.name,
                id=info.function_id,
                trigger=trigger,
                bindings=bindings,
                retry=dict(loader.get_retry_settings(function) or {}),
                disabled=settings.is_disabled(info.name),
            )
        )
    _refuse_unsupported(found)
    return found


def _refuse_unsupported(functions: list[Function]) -> None:
    for function in functions:
        if function.kind not in SUPPORTED_TRIGGERS:
            raise UnsupportedTrigger(
                f"{function.name}: {function.kind} is not supported by the local host"
            )
