"""Scores the mutants of a protein: python -m benchmarks.variant_effects MODEL SEQUENCE.fasta MUTANTS.csv OFFSET

Asks the server at CLOZE_URL. A mutant such as H24C is scored by its masked marginal, log p(C) - log p(H) at the masked
position (Meier et al. 2021, doi 10.1101/2021.07.09.450648). OFFSET is the position of the first letter of the
sequence. Prints the rank correlation (Spearman) with the column `score` of the table, and that of its other columns.
"""

import csv
import os
import sys
from pathlib import Path

import httpx
from scipy.stats import spearmanr


def main(model: str, fasta: Path, table: Path, offset: int) -> None:
    sequence = "".join(line.strip() for line in fasta.read_text().splitlines() if not line.startswith(">"))
    with table.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    body = {"model": model, "input": sequence, "variants": [row["mutant"] for row in rows], "offset": offset}
    answer = httpx.post(f"{os.environ['CLOZE_URL']}/v1/score", json=body, timeout=600).raise_for_status().json()
    found = [each["score"] for each in answer["data"][0]["variants"]]
    measured = [float(row["score"]) for row in rows]
    print(f"{len(rows):,} mutants, Spearman with score")
    print(f"{model:20} {spearmanr(found, measured).statistic:.3f}")
    for name in [name for name in rows[0] if name not in ("mutant", "score")]:
        print(f"{name:20} {spearmanr([float(row[name]) for row in rows], measured).statistic:.3f}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
