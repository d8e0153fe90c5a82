"""Which task hub: `memory`, or `sqlite:FILE` that survives the host."""

from pathlib import Path

from local.host.taskhub import TaskHub
from local.host.taskhub.sqlite.chaos import BadSwitch, Switches, parse

SQLITE = "sqlite:"


class BadHub(ValueError):
    """The hub's name cannot be used."""


def make_hub(name: str, version: str | None, chaos: str | None) -> tuple[TaskHub | None, Switches]:
    """The hub of that name and the chaos that its workers share.

    None stands for the one in memory: the host makes it when the app has durable functions.

    A hub with a process of its own begins to start it. Raises BadHub or BadSwitch.
    """
    switches = parse(chaos or "")
    if name == "memory":
        if chaos:
            raise BadSwitch("chaos needs a hub that survives it: --hub sqlite:FILE")
        return None, switches
    if not name.startswith(SQLITE) or name == SQLITE:
        raise BadHub(f"there is no task hub '{name}': memory, or sqlite:FILE")
    from local.host.taskhub.process import HubProcess

    hub = HubProcess(Path(name.removeprefix(SQLITE)).absolute(), version, chaos)
    hub.begin()
    return hub, switches
