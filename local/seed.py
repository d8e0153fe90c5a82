"""Prepares fresh storage as a deployment would: tables, the deployment's keys, the first partner.

`python -m local.seed TENANT_ID CLIENT_ID`, with the app's settings in the environment.
"""

import asyncio
import sys

SEEDED = "seeded"
"""The line that says all is in place."""
PARTNER_NAME = "Local partner"
ADMIN = "admin@partner.example"
"""The partner's first administrator: signs in by `POST /_sim/token` of the simulated Entra."""


async def seed(tenant_id: str, client_id: str) -> None:
    """Run the app's own preparation, and register the partner with its daemon. May be repeated."""
    from shared.access.model import Admin, Client
    from shared.access.service import register_partner
    from shared.bootstrap import Deps, prepare

    given = Deps()
    try:
        await prepare(given)
        first = Admin(ADMIN, "Ada", "Admin")
        daemon = Client(client_id, is_operator=True)  # on one machine also the operator's
        await register_partner(given, tenant_id, PARTNER_NAME, [daemon], [first])
    finally:
        await given.close()


def main() -> None:
    """Seed, then say so."""
    tenant_id, client_id = sys.argv[1:]
    asyncio.run(seed(tenant_id, client_id))
    print(SEEDED, flush=True)


if __name__ == "__main__":
    main()
