"""Prepares fresh storage as a deployment would: tables, keys, the first partner with a pool.

`python -m local.seed TENANT_ID CLIENT_ID`, with the app's settings in the environment.
"""

import asyncio
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.bootstrap import Deps

SEEDED = "seeded"
"""The line that says all is in place."""
PARTNER_NAME = "Local partner"
POOL = "firstpool"
"""Its id, and that of its order."""
SEATS = 250
ADMIN = "admin@partner.example"
"""The partner's first administrator: signs in by `POST /_sim/token` of the simulated Entra."""


async def seed(tenant_id: str, client_id: str) -> None:
    """Run the app's own preparation, register the partner with its daemon, order its first pool.

    May be repeated.
    """
    from shared.access.model import Admin, Client
    from shared.access.service import register_partner
    from shared.bootstrap import Deps, prepare

    given = Deps()
    try:
        await prepare(given)
        first = Admin(ADMIN, "Ada", "Admin")
        daemon = Client(client_id, is_operator=True)  # on one machine also the operator's
        partner = await register_partner(given, tenant_id, PARTNER_NAME, [daemon], [first])
        await order_pool(given, partner.partner_id)
    finally:
        await given.close()


async def order_pool(given: "Deps", partner_id: str) -> None:
    """What the operator's order does: seats until the end of next year, bought once."""
    from datetime import date

    from shared.access.model import Scope
    from shared.catalogue.model import Channel, PaymentModel
    from shared.licensing import service, wishes
    from shared.licensing.model import PaymentOption
    from shared.licensing.repository import Command
    from shared.licensing.rules.purchases import Purchase

    scope = Scope(partner_id)
    if (await given.ledgers.load(scope)).book.pools:
        return
    year = given.clock.now().year
    order = Purchase(
        pool_id=POOL,
        order_id=POOL,
        item="CBM-M365",
        quantity=SEATS,
        channel=Channel.DIRECT,
        source="Direct",
        payment_model=PaymentModel.PREPAID,
        payment_option=PaymentOption.ANNUAL_UPFRONT,
        contract_effective=date(year, 1, 1),
        end=date(year + 1, 12, 31),
    )
    await service.perform(given.ledgers, scope, Command("operator", POOL), wishes.purchase(order))


def main() -> None:
    """Seed, then say so."""
    tenant_id, client_id = sys.argv[1:]
    asyncio.run(seed(tenant_id, client_id))
    print(SEEDED, flush=True)


if __name__ == "__main__":
    main()
