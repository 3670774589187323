"""Results as the sections of RESULTS.md."""

import statistics
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from benchmarks.options import Options
from benchmarks.report import machine, table

Key = tuple[str, str]  # system, dtype


@dataclass(frozen=True)
class Cell:
    kind: str  # of texts
    each: int  # inputs of a request
    clients: int

    def __str__(self) -> str:
        return f"{self.kind}, {self.each} a request, {self.clients} clients"


@dataclass
class Findings:
    task: str
    measured: dict[tuple[str, str, Cell], list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    offline: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    reference: Key = ("", "")  # whose answers the others are compared with
    agreement: dict[Key, float] = field(default_factory=dict)
    batched: dict[Key, float] = field(default_factory=dict)
    memory: dict[Key, float] = field(default_factory=dict)

    def add(self, name: str, dtype: str, cell: Cell, found: dict[str, Any]) -> None:
        self.measured[name, dtype, cell].append(found)

    def add_offline(self, dtype: str, found: dict[str, Any]) -> None:
        self.offline[dtype].append(found)

    def add_agreement(self, name: str, dtype: str, value: float) -> None:
        self.agreement[name, dtype] = value

    def add_batched(self, name: str, dtype: str, value: float) -> None:
        self.batched[name, dtype] = value

    def rate(self, name: str, dtype: str, cell: Cell) -> float:
        """Requests a second: the median of the rounds."""
        return statistics.median(each["requests"] / each["seconds"] for each in self.measured[name, dtype, cell])

    def spread(self, name: str, dtype: str, cell: Cell) -> float:
        """Returns the spread of the rounds, from slowest to fastest, over the median."""
        rates = [each["requests"] / each["seconds"] for each in self.measured[name, dtype, cell]]
        return (max(rates) - min(rates)) / (statistics.median(rates) or 1.0)

    def latency(self, name: str, dtype: str, cell: Cell, quantile: int) -> float | None:
        """Milliseconds; None where no request was answered in time."""
        found = [each["ms"][str(quantile)] for each in self.measured[name, dtype, cell] if each["ms"]]
        return statistics.median(found) if found else None

    def ideal(self, dtype: str, way: str, what: str) -> float:
        """The best of the rounds: what the machine can do, not what it did beside something else."""
        values = [each[way][what] for each in self.offline[dtype]]
        return min(values) if what == "single_ms" else max(values)

    @property
    def systems(self) -> list[Key]:
        return list(dict.fromkeys((name, dtype) for name, dtype, _ in self.measured))

    @property
    def cells(self) -> list[Cell]:
        return list(dict.fromkeys(cell for _, _, cell in self.measured))


def render(found: Findings, options: Options, seconds: float) -> str:
    parts = [_introduction(found, options, seconds), _targets(found), _answers(found), _offline(found)]
    parts += [_grid(found, dtype) for dtype in dict.fromkeys(dtype for _, dtype in found.systems)]
    return "\n\n".join(part for part in parts if part)


def _introduction(found: Findings, options: Options, seconds: float) -> str:
    busiest = max(each["cpu"] for rounds in found.measured.values() for each in rounds)
    failures = sum(each["failures"] for rounds in found.measured.values() for each in rounds)
    tokens = found.ideal(next(iter(found.offline)), "own", "tokens_each")
    return (
        f"`{options.command()}`, {machine()}; {options.threads} thread{'s' * (options.threads != 1)} on each side; "
        f"{seconds / 60:.0f} minutes. {options.rounds} rounds, measured in turns, {options.seconds:g} s each "
        f"after 1 s of warm-up; the values are medians of the rounds. Mixed texts have {tokens:.0f} tokens on average. "
        f"The client is a separate process on the same cores; it took at most {busiest:.0%} of one core. "
        f"Failed requests: {failures}."
    )


def _targets(found: Findings) -> str:
    """The figures that the others are there for."""
    lines = []
    for dtype in dict.fromkeys(dtype for name, dtype in found.systems if name == "Cloze"):
        crowd, one = Cell("mixed", 1, 64), Cell("mixed", 1, 1)
        if crowd not in found.cells or one not in found.cells:
            continue
        own = found.rate("Cloze", dtype, crowd)
        for name in (name for name, other in found.systems if other == dtype and name != "Cloze"):
            ratio = own / (found.rate(name, dtype, crowd) or float("nan"))
            lines.append([dtype, f"requests/s at 64 clients, × {name}", f"{ratio:.2f}"])
        for way in ("padded", "own"):
            share = own / found.ideal(dtype, way, "inputs_per_second")
            included = own / found.ideal(dtype, way, "with_tokenising")
            label = "transformers' padded forward" if way == "padded" else "Cloze's own forward"
            lines.append(
                [dtype, f"share of the offline rate of {label}", f"{share:.2f} (with tokenization: {included:.2f})"]
            )
        added = (found.latency("Cloze", dtype, one, 50) or float("nan")) - found.ideal(dtype, "own", "single_ms")
        lines.append(
            [dtype, "added latency at one client (median) over tokenization + forward of one thread", f"{added:.2f} ms"]
        )
        peers = [
            found.latency(name, dtype, crowd, 99) for name, other in found.systems if other == dtype and name != "Cloze"
        ]
        own_p99, best = found.latency("Cloze", dtype, crowd, 99), min((p for p in peers if p), default=None)
        if own_p99 and best:
            lines.append([dtype, "p99 at 64 clients, relative to the best other system", f"{own_p99 / best:.2f}"])
    return table(["dtype", "Mixed texts, one in each request", "Cloze"], lines) if lines else ""


def _answers(found: Findings) -> str:
    what = "smallest cosine" if found.task == "embed" else "equal first tokens"
    digits = 5 if found.task == "embed" else 3
    rows = [
        [*key, f"{found.agreement[key]:.{digits}f}", f"{found.batched[key]:.{digits}f}", f"{found.memory[key]:.0f} MiB"]
        for key in found.systems
    ]
    head = ["System", "dtype", f"{what} with {' in '.join(found.reference)}", f"{what}, alone and in a batch", "Memory"]
    return "Agreement of the answers:\n\n" + table(head, rows)


def _offline(found: Findings) -> str:
    rows = []
    for dtype in found.offline:
        for way, label in (("padded", "transformers, padded"), ("own", "Cloze's own")):
            values = [
                found.ideal(dtype, way, what) for what in ("inputs_per_second", "with_tokenising", "tokens_per_second")
            ]
            single = found.ideal(dtype, way, "single_ms")
            rows.append([dtype, label, *(f"{value:,.0f}" for value in values), f"{single:.2f} ms"])
    head = ["dtype", "Forward", "Inputs/s", "with tokenization", "Tokens/s", "One text, with tokenization"]
    return "Offline, mixed texts sorted into batches of 4,096 tokens, no server:\n\n" + table(head, rows)


def _grid(found: Findings, dtype: str) -> str:
    rows = []
    for cell in found.cells:
        for name in (name for name, other in found.systems if other == dtype):
            rate = found.rate(name, dtype, cell)
            times = [found.latency(name, dtype, cell, quantile) for quantile in (50, 99)]
            rows.append(
                [
                    *(cell.kind, str(cell.each), str(cell.clients), name),
                    *(f"{rate:.1f}", f"{rate * cell.each:.1f}", f"{found.spread(name, dtype, cell):.0%}"),
                    *("none answered" if time is None else f"{time:.1f}" for time in times),
                ]
            )
    head = ["Texts", "Texts a request", "Clients", "System", "Requests/s", "Inputs/s", "Spread", "p50 ms", "p99 ms"]
    return f"In {dtype}:\n\n" + table(head, rows)
