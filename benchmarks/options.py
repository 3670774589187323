"""Options of `python -m benchmarks`."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    quick: bool
    threads: int
    data: Path | None
    rounds: int
    seconds: float
    tasks: tuple[str, ...]
    dtypes: tuple[str, ...]
    each: tuple[int, ...]  # texts a request
    only: tuple[str, ...]  # sections; empty: all
    systems: tuple[str, ...]  # parts of names, lower case; empty: all
    var: Path
    results: Path

    def command(self) -> str:
        """As it would be typed, without folders."""
        parts = ["python -m benchmarks", *(f"--only {each}" for each in self.only)]
        parts += ["--quick" * self.quick, f"--threads {self.threads}"]
        parts += ["--data DATA" * (self.data is not None), f"--rounds {self.rounds}", f"--seconds {self.seconds:g}"]
        parts += [
            f"--task {self.tasks[0]}" * (len(self.tasks) == 1),
            f"--dtype {self.dtypes[0]}" * (len(self.dtypes) == 1),
            f"--each {self.each[0]}" * (len(self.each) == 1),
        ]
        parts += [f"--systems {','.join(self.systems)}" * bool(self.systems)]
        return " ".join(part for part in parts if part)
