"""docs/walkthrough.md, command by command, against what `make run` starts and prints."""

import os
import re
import subprocess
from pathlib import Path

from local.run import describe
from local.stack import Stack

PROJECT = Path(__file__).parents[2]
DOCUMENT = PROJECT / "docs" / "walkthrough.md"
QUICK = {"HOLDFAST_CONSENT_POLL_SECONDS": "0.3"}


def test_every_command_works_as_written(tmp_path: Path) -> None:
    blocks = re.findall(
        r"^```sh\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    assert len(blocks) >= 7
    with Stack(tmp_path / "stack", settings=QUICK) as stack:
        sign_in = re.search(
            r"^ *TOKEN=\$\(.*?\)$", describe(stack, tmp_path), re.DOTALL | re.MULTILINE
        )
        assert sign_in
        script = "\n".join(["set -eu", sign_in[0], *blocks])
        urls = {"API": stack.urls.api, "M365": stack.urls.microsoft365, "TMPDIR": str(tmp_path)}
        done = subprocess.run(
            ["sh", "-x", "-c", script],
            cwd=PROJECT,
            env={"PATH": os.environ["PATH"], **urls},
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
    told = f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert done.returncode == 0, told
    assert "are as they were written" in done.stdout, told
