"""Which task hub: `memory`, `sqlite:FILE`, `scheduler` in the cloud, `grpc:HOST:PORT` elsewhere."""

import os
from collections.abc import Mapping
from pathlib import Path

from local.host.taskhub import TaskHub
from local.host.taskhub.scheduler import SETTING, BadConnection, connection_from
from local.host.taskhub.sqlite.chaos import BadSwitch, Switches, parse
from local.host.taskhub.sqlite.tries import BadTries, tries_from

SQLITE, ELSEWHERE, SCHEDULER = "sqlite:", "grpc:", "scheduler"


class BadHub(ValueError):
    """The hub's name cannot be used."""


class ExternalHub:
    """A TaskHub that somebody else runs: the Durable Task Scheduler's emulator, or another host."""

    def __init__(self, address: str) -> None:
        self._address = address

    def start(self) -> str:
        """Its address; whether it answers is seen by the first call."""
        return self._address

    def stop(self) -> None:
        """It is not ours to stop."""


def make_hub(
    name: str,
    version: str | None,
    chaos: str | None,
    *,
    hub_name: str = "",
    connection_setting: str = SETTING,
    environment: Mapping[str, str] = os.environ,
) -> tuple[TaskHub | None, Switches]:
    """The hub of that name and the chaos that its workers share.

    None stands for the one in memory: the host makes it when the app has durable functions.
    A scheduler's connection string is the setting `connection_setting` of `environment`.

    A hub with a process of its own begins to start it. Raises BadHub or BadSwitch.
    """
    switches = parse(chaos or "")
    if name == SCHEDULER:
        if chaos:
            raise BadSwitch("chaos is for a hub of our own: --hub sqlite:FILE")
        try:
            connection = connection_from(environment, connection_setting, hub_name)
        except BadConnection as fault:
            raise BadHub(str(fault)) from fault
        from local.host.taskhub.relay import SchedulerHub

        return SchedulerHub(connection), switches
    if name == "memory":
        if chaos:
            raise BadSwitch("chaos needs a hub that survives it: --hub sqlite:FILE")
        return None, switches
    if name.startswith(ELSEWHERE) and name.rpartition(":")[2].isdecimal():
        return ExternalHub(name.removeprefix(ELSEWHERE)), switches
    if not name.startswith(SQLITE) or name == SQLITE:
        raise BadHub(
            f"there is no task hub '{name}': memory, sqlite:FILE, scheduler, grpc:HOST:PORT"
        )
    from local.host.taskhub.process import HubProcess

    try:
        tries = tries_from(environment)
    except BadTries as fault:
        raise BadHub(str(fault)) from fault
    hub = HubProcess(Path(name.removeprefix(SQLITE)).absolute(), version, chaos, tries=tries)
    hub.begin()
    return hub, switches
