"""Cold start is money: what no door needs is not read when the app loads."""

import subprocess
import sys

from tests.house.conftest import PROJECT

HEAVY = (
    *("aiohttp", "jwt", "httpx", "msgraph", "azure.identity", "azure.storage.blob"),
    *("azure.data.tables", "azure.keyvault", "nh3", "icalendar", "xlsxwriter"),
)
SCRIPT = f"import sys, function_app; print([name for name in {HEAVY!r} if name in sys.modules])"


def test_the_app_loads_without_what_only_calls_need() -> None:
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, check=True, cwd=PROJECT
    )
    assert found.stdout.decode().split("\n")[-2] == "[]"
