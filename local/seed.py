"""Prepares fresh storage as a deployment would: tables and the deployment's own keys.

`python -m local.seed`, with the app's settings in the environment.
"""

import asyncio

SEEDED = "seeded"
"""The line that says all is in place."""


async def seed() -> None:
    """Run the app's own preparation. May be repeated."""
    from shared.bootstrap import Deps, prepare

    given = Deps()
    try:
        await prepare(given)
    finally:
        await given.close()


def main() -> None:
    """Seed, then say so."""
    asyncio.run(seed())
    print(SEEDED, flush=True)


if __name__ == "__main__":
    main()
