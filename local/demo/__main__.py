"""`make demo`: from nothing to a restored customer; exits 1 if anything is not as said."""

import argparse
import sys
import time
from contextlib import closing
from pathlib import Path

from local.azurite import AzuriteMissing
from local.children import ChildFailed
from local.demo import day, leaving, picture, restoring
from local.demo import story as chapter
from local.demo.api import NotAsSaid, PartnerApi
from local.demo.licences import license_customer
from local.demo.show import console, heading, say
from local.demo.story import Story
from local.demo.tenant import CustomerSide
from local.node import NodeMissing
from local.rundir import run_directory
from local.signals import orderly_end
from local.stack import Stack


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """Read and check the command line; exit 2 with one line for a path that is not there."""
    parser = argparse.ArgumentParser(
        prog="make demo", description="ARGS='--mbox my.mbox --files ~/docs' uses your own data."
    )
    parser.add_argument("--users", type=int, help="default: 6, with your own data 3")
    parser.add_argument("--mails", type=int, default=40, help="per user, with generated bulk")
    parser.add_argument("--files", default="30", help="number per user, or a folder of your own")
    parser.add_argument("--events", type=int, default=8, help="per user")
    parser.add_argument("--contacts", type=int, default=6, help="per user")
    parser.add_argument("--sites", type=int, default=1, help="beside those of the teams")
    parser.add_argument("--teams", type=int, default=1)
    parser.add_argument("--mbox", type=Path, action="append", default=[], metavar="PATH")
    parser.add_argument("--maildir", type=Path, action="append", default=[], metavar="PATH")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--sign-in", choices=("adminConsent", "deviceCode"), default="adminConsent",
        help="how the customer's administrator consents",
    )  # fmt: skip
    parser.add_argument("--keep", action="store_true", help="keep logs and storage until next time")
    options = parser.parse_args(given)
    options.trees = []
    if not options.files.isdigit():
        options.trees, options.files = [Path(options.files).expanduser()], "0"
    options.mbox = [path.expanduser() for path in options.mbox]
    options.maildir = [path.expanduser() for path in options.maildir]
    if options.users is None:
        own = [*options.mbox, *options.maildir, *options.trees]
        options.users = max(3, len(own)) if own else 6
    for path in [*options.mbox, *options.maildir, *options.trees]:
        if not path.exists():
            print(f"make demo: {path} does not exist", file=sys.stderr)
            sys.exit(2)
    return options


def world_of(options: argparse.Namespace) -> list[str]:
    """The simulator's own options."""
    own = bool(options.mbox or options.maildir)
    given = ["--tenants", "1", "--users", str(options.users), "--seed", str(options.seed)]
    for name in ("events", "contacts", "sites", "teams"):
        given += [f"--{name}", str(getattr(options, name))]
    given += ["--site-files", "6", "--list-items", "5", "--messages", "2"]
    given += ["--mails", "0" if own else str(options.mails), "--files", options.files]
    for flag, paths in (
        ("--mbox", options.mbox), ("--maildir", options.maildir), ("--files-from", options.trees),
    ):  # fmt: skip
        for path in paths:
            given += [flag, str(path.resolve())]
    return given


def tell(stack: Stack, options: argparse.Namespace) -> None:
    """The whole story, chapter by chapter; NotAsSaid at the first thing that is not so."""
    api = PartnerApi(stack.urls.api, stack.partner_token)
    api.watch(lambda: str(dead) if (dead := stack.failure()) else None)
    with closing(api), closing(CustomerSide(stack.urls.microsoft365)) as side:
        story = Story(stack, api, side)
        chapter.meet(story)
        chapter.onboard(story, options.sign_in)
        license_customer(story)
        chapter.back_up(story, 3, "First backup: every mailbox, OneDrive, site and team")
        chapter.show_snapshot(story)
        picture.check_against_truth(story)
        totals = day.work_a_day(story)
        session = chapter.back_up(story, 5, "Second backup: only what changed")
        day.explain_increment(session, totals)
        chapter.show_snapshot(story)
        picture.check_against_truth(story)
        day.compare(story)
        before = day.disaster(story)
        restoring.restore(story)
        restoring.prove(story, before)
        leaving.export(story)
        leaving.read_alone(story)
        leaving.drill(story)


def main() -> int:
    """Exit code: 0 as said, 1 not as said, 2 wrong input, 130 interrupted."""
    options = arguments()
    began = time.monotonic()
    try:
        with orderly_end(), run_directory("demo", keep=options.keep) as directory:
            heading(0, "Starting Azurite, a simulated Microsoft 365 and the Functions app")
            with Stack(directory, world=world_of(options)) as stack:
                say(f"ready in {time.monotonic() - began:.1f} s; API {stack.urls.api}/api/v1")
                tell(stack, options)
        console.print(f"\n[bold green]All as said[/], in {time.monotonic() - began:.0f} s.")
    except KeyboardInterrupt:
        console.print("\nInterrupted; everything has been ended.")
        return 130
    except (NotAsSaid, ChildFailed, AzuriteMissing, NodeMissing) as wrong:
        console.print("\n[bold red]Not as said:[/]", end=" ")
        console.print(str(wrong), markup=False)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
