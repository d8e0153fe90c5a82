"""`make run`: everything on this machine, until Ctrl-C."""

import argparse
import shlex
import sys
import time
from pathlib import Path

from local.azurite import AzuriteMissing
from local.children import ChildFailed
from local.node import NodeMissing
from local.rundir import PROJECT, run_directory
from local.signals import orderly_end
from local.signin import partner_form
from local.stack import Stack

USUAL_PORT = 7071
"""Where the Functions tools listen too; another one is taken when it is in use."""
LOOK_EVERY_SECONDS = 0.5
USUAL_WORLD = [
    "--tenants", "2", "--users", "10", "--mails", "50", "--files", "30", "--sites", "3",
    "--teams", "2",
]  # fmt: skip


def _arguments(given: list[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="make run", description="Other options go to the simulated Microsoft 365."
    )
    parser.add_argument("--port", type=int, default=USUAL_PORT, help="port of the Partner API")
    parser.add_argument("--name", default="run", help="data and logs lie in .local/NAME")
    parser.add_argument("--workers", type=int, default=1, help="processes for durable functions")
    parser.add_argument("--app-root", type=Path, default=PROJECT, help="another app's folder")
    return parser.parse_known_args(given)


def describe(stack: Stack, directory: Path) -> str:
    """What a person needs to know: addresses, how to get a token, where the logs are."""
    form = " ".join(
        f"-d {shlex.quote(f'{k}={v}')}" for k, v in partner_form(stack.registrations).items()
    )
    sign_in = f"{stack.urls.microsoft365}/{stack.registrations.partner_tenant_id}/oauth2/v2.0/token"
    return f"""
  Partner API     {stack.urls.api}/api/v1/openapi.json
  Microsoft 365   {stack.urls.microsoft365}/_sim/world   (simulated)
  Storage         {stack.urls.blobs}   (Azurite; connection string below)
  Data, logs      {directory}

  A partner's token, then the first request:

    TOKEN=$(curl -s {sign_in} \\
      {form} \\
      | sed 's/.*"access_token": *"\\([^"]*\\)".*/\\1/')
    curl -H "Authorization: Bearer $TOKEN" {stack.urls.api}/api/v1/customers

  {stack.azurite.connection}

  Ctrl-C ends everything.
"""


def _run(chosen: argparse.Namespace, world: list[str]) -> int:
    with (
        run_directory(chosen.name, keep=True) as directory,
        Stack(
            directory,
            api_port=chosen.port,
            world=world or USUAL_WORLD,
            app_root=chosen.app_root,
            workers=chosen.workers,
        ) as stack,
    ):
        print(describe(stack, directory), flush=True)
        while (failure := stack.failure()) is None:
            time.sleep(LOOK_EVERY_SECONDS)
    print(failure, file=sys.stderr)
    return 1


def main() -> int:
    """Run until told to end: 0 after Ctrl-C, 1 when a part failed."""
    chosen, world = _arguments(sys.argv[1:])
    print("starting …", flush=True)
    try:
        with orderly_end():
            return _run(chosen, world)
    except KeyboardInterrupt:
        print("\nended")
        return 0
    except (ChildFailed, AzuriteMissing, NodeMissing) as failure:
        print(failure, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
