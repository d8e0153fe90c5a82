"""One measured figure, its goal, and the table of all of them."""

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """A value with its unit; `reference` is what it stands beside, `goal` the most it may be."""

    what: str
    value: float
    unit: str
    reference: str = ""
    goal: float | None = None

    @property
    def verdict(self) -> str:
        """`kept`, `missed`, or empty where there is no goal."""
        if self.goal is None:
            return ""
        return "kept" if self.value <= self.goal else "missed"


def show(figures: Sequence[Figure], report: Path) -> bool:
    """Print the table, write the report; whether no goal was missed."""
    table = Table(box=None, header_style="bold")
    for name in ("figure", "value", "goal", "", "beside"):
        table.add_column(name, justify="right" if name in {"value", "goal"} else "left")
    for figure in figures:
        goal = "" if figure.goal is None else f"≤ {figure.goal:g}"
        value = f"{figure.value:,.4g} {figure.unit}"
        table.add_row(figure.what, value, goal, figure.verdict, figure.reference)
    Console(width=150).print(table)
    report.write_text(
        json.dumps(
            {
                "python": platform.python_version(),
                "machine": platform.machine(),
                "figures": [asdict(f) | {"verdict": f.verdict} for f in figures],
            },
            indent=2,
        )
    )
    return all(figure.verdict != "missed" for figure in figures)
