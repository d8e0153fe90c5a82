"""A line in sentences and as data: the events, what counted, the rules, the arithmetic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from shared.billing.model import Line, Metric, Run
from shared.billing.rules.rating import counting_text
from shared.licensing import explaining
from shared.licensing.ledger import Event

_UNIT = {
    Metric.ASSIGNED: "assigned",
    Metric.CONSUMED: "consumed",
    Metric.PROTECTED_USERS: "protected users",
    Metric.STORED_GB: "GB stored",
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a line is what it is; `arithmetic` ends in the line's amount."""

    sentences: tuple[str, ...]
    arithmetic: str
    events: tuple[Event, ...]
    rules: tuple[str, ...]


def explain(line: Line, events: Mapping[int, Event], currency: str) -> Explanation:
    """Explain one line; `events` are the ledger's, by number."""
    own = [events[seq] for seq in _numbers(line.runs) if seq in events]
    sentences = [f"Event {event.seq}: {explaining.sentence(event)}." for event in own]
    sentences += [_run(run, line.metric) for run in line.runs]
    sentences.append(_counted(line))
    sentences += _terms(line)
    return Explanation(
        tuple(sentences),
        _arithmetic(line, currency),
        tuple(own),
        tuple(sorted({*line.rules, *(rule for event in own for rule in event.rules)})),
    )


def plain(value: Decimal) -> str:
    """A Decimal without exponent and without zeros that say nothing."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _numbers(runs: Sequence[Run]) -> list[int]:
    return sorted({seq for run in runs for seq in run.events})


def _run(run: Run, metric: Metric) -> str:
    days = f"On {run.first}" if run.first == run.last else f"From {run.first} to {run.last}"
    return f"{days}: {plain(run.quantity)} {_UNIT[metric]}."


def _counted(line: Line) -> str:
    on = f", first reached on {line.counted_on}" if line.counted_on else ""
    return f"Counted is {counting_text(line.counting)} (AMB-23): {plain(line.counted)}{on}."


def _terms(line: Line) -> list[str]:
    found = []
    if line.included:
        found.append(f"{line.included} are included in the price and not billed.")
    if line.minimum and line.billed == line.minimum:
        found.append(f"At least {line.minimum} are billed.")
    return found


def _arithmetic(line: Line, currency: str) -> str:
    parts = [f"{plain(step.quantity)} × {plain(step.unit_price)}" for step in line.steps]
    exact = sum((step.amount for step in line.steps), Decimal(0))
    rounded = "" if exact == line.amount else f" = {plain(exact)}, rounded half to even"
    return f"{' + '.join(parts) or '0'}{rounded} = {line.amount:f} {currency}"
