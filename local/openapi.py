"""`make openapi`: writes the OpenAPI document; --check says when it is out of date."""

import argparse
import json
import sys

from local.rundir import PROJECT

DOCUMENT = PROJECT / "docs" / "openapi.json"


def text() -> str:
    """The document of the routes as they are now."""
    from functions.api.app import build

    return json.dumps(build().openapi(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def main() -> int:
    """Write, or compare: 0 when the file is as it should be."""
    parser = argparse.ArgumentParser(prog="make openapi")
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    if not parser.parse_args().check:
        DOCUMENT.write_text(text(), encoding="utf-8")
        print(f"written: {DOCUMENT.relative_to(PROJECT)}")
        return 0
    if DOCUMENT.exists() and DOCUMENT.read_text(encoding="utf-8") == text():
        return 0
    print("docs/openapi.json is out of date: run `make openapi`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
