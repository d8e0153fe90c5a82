"""Prepares a deployment's storage and registers a partner, with the operator's own sign-in.

`python -m infra.first_partner --tenant ID --name NAME [--operator ID] --admin EMAIL FIRST LAST`,
with HOLDFAST_BLOBS_URL and HOLDFAST_TABLES_URL of the deployment in the environment. The operator
is signed in with the Azure command line and has the two data roles that main.bicep gives to
`operatorObjectId`. May be repeated: what exists stays.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from shared.access.model import Admin, Client
from shared.access.service import register_partner
from shared.bootstrap import Deps, prepare
from shared.kit.config import Settings
from shared.kit.storage import Storage

if TYPE_CHECKING:
    from azure.identity.aio import AzureCliCredential


class OperatorStorage(Storage):
    """The deployment's storage, opened as the person at the keyboard."""

    @cached_property
    def credential(self) -> "AzureCliCredential":  # type: ignore[override]
        """The sign-in of `az login`."""
        from azure.identity.aio import AzureCliCredential

        credential = AzureCliCredential()
        self._closing.append(credential)
        return credential


async def register(settings: Settings, given: argparse.Namespace) -> str:
    """Tables, containers, the deployment's cursor key, the partner; answers the partner's id."""
    deps = Deps(settings, storage=OperatorStorage(settings))
    operators = [Client(given.operator, "Operator", is_operator=True)] if given.operator else []
    try:
        await prepare(deps)
        partner = await register_partner(
            deps, given.tenant, given.name, operators, [Admin(*given.admin)]
        )
    finally:
        await deps.close()
    return partner.partner_id


def arguments(line: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="infra.first_partner")
    parser.add_argument("--tenant", required=True, help="the partner's home tenant")
    parser.add_argument("--name", required=True, help="the partner's name")
    parser.add_argument("--operator", help="client id of the platform operator's application")
    parser.add_argument(
        "--admin", required=True, nargs=3, metavar=("EMAIL", "FIRST", "LAST"),
        help="the first administrator",
    )  # fmt: skip
    return parser.parse_args(line)


def main() -> None:
    """Register, then print the partner's id."""
    sys.stdout.write(asyncio.run(register(Settings(), arguments())) + "\n")


if __name__ == "__main__":
    main()
