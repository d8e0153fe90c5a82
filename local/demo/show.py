"""What the demo shows: headings, tables, progress bars with rates."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

WIDTH = 110
"""Columns when the output is no terminal, or a narrow one: tables stay readable in a log."""

console = Console(highlight=False)
if console.width < WIDTH:
    console = Console(highlight=False, width=WIDTH)


def size(count: float) -> str:
    """Bytes as a person reads them."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def heading(number: int, text: str) -> None:
    """One step of the story."""
    console.print(f"\n[bold cyan]{number}  {text}[/]")


def say(text: str) -> None:
    """One line below a heading."""
    console.print(f"   {text}")


def table(columns: list[str], rows: Iterable[Iterable[Any]]) -> None:
    """A small table; every column but the first is aligned right."""
    shown = Table(box=None, padding=(0, 2, 0, 3), header_style="dim")
    for place, name in enumerate(columns):
        shown.add_column(name, justify="right" if place else "left")
    for row in rows:
        shown.add_row(*(str(cell) for cell in row))
    console.print(shown)


class _Rate(ProgressColumn):
    """Items and bytes per second since the start."""

    def render(self, task: Task) -> Text:
        """The rate as text, empty until there is one."""
        elapsed = task.elapsed or 0
        items, volume = task.fields.get("items", 0), task.fields.get("volume", 0)
        if elapsed < 0.2 or not items:
            return Text("")
        rate = f"{items:,} items  {items / elapsed:,.0f}/s"
        return Text(f"{rate}  {size(volume)}  {size(volume / elapsed)}/s" if volume else rate)


@contextmanager
def bar(text: str) -> Iterator["Bar"]:
    """A progress bar over objects with item and byte rates; plain lines when not a terminal."""
    columns = (
        TextColumn("  "),
        SpinnerColumn(finished_text="[green]✓[/]"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=False) as progress:
        yield Bar(progress, text)


class Bar:
    """One line of progress."""

    def __init__(self, progress: Progress, text: str) -> None:
        self._progress = progress
        self._task = progress.add_task(text, total=None)

    def show(self, done: int, total: int | None, *, items: int = 0, volume: int = 0) -> None:
        """Move the bar; unknown total keeps it pulsing."""
        self._progress.update(
            self._task, completed=done, total=total or None, items=items, volume=volume
        )
