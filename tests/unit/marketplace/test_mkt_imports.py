"""Cold start: what only a delivery or a call needs is not read when the app loads."""

import subprocess
import sys

HEAVY = ("jwt", "httpx", "cryptography", "xlsxwriter")
SCRIPT = f"""
import sys
import shared.marketplace.inbox, shared.marketplace.processing, shared.marketplace.channels
print([name for name in {HEAVY!r} if name in sys.modules])
"""


def test_marketplaces_load_without_what_only_a_delivery_needs() -> None:
    found = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, check=True)
    assert found.stdout.decode().strip() == "[]"
