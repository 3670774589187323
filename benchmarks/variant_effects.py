"""Scores the mutants of a protein: python -m benchmarks.variant_effects MODEL SEQUENCE.fasta MUTANTS.csv OFFSET

Asks the server at CLOZE_URL. A mutant such as H24C is scored by its masked marginal, log p(C) - log p(H) at the masked
position (Meier et al. 2021, doi 10.1101/2021.07.09.450648). OFFSET is the position of the first letter of the
sequence. Prints the rank correlation (Spearman) with the column `score` of the table, and that of its other columns.
"""

import csv
import math
import os
import sys
from pathlib import Path

import httpx
from scipy.stats import spearmanr

LETTERS = "ACDEFGHIKLMNPQRSTVWY"


def score_positions(model: str, sequence: str) -> list[dict[str, float]]:
    """The log probability of each letter at each position of the sequence, with that position masked."""
    masked = [f"{sequence[:nth]}[MASK]{sequence[nth + 1 :]}" for nth in range(len(sequence))]
    body = {"model": model, "input": masked, "targets": list(LETTERS), "top_k": len(LETTERS)}
    answer = httpx.post(f"{os.environ['CLOZE_URL']}/v1/fill-mask", json=body, timeout=600).raise_for_status().json()
    masks = [item["masks"][0]["candidates"] for item in answer["data"]]
    return [{each["token_str"]: math.log(max(each["score"], 1e-45)) for each in candidates} for candidates in masks]


def main(model: str, fasta: Path, table: Path, offset: int) -> None:
    sequence = "".join(line.strip() for line in fasta.read_text().splitlines() if not line.startswith(">"))
    positions = score_positions(model, sequence)
    with table.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    found = []
    for row in rows:
        old, place, new = row["mutant"][0], int(row["mutant"][1:-1]) - offset, row["mutant"][-1]
        if sequence[place] != old:
            raise SystemExit(f"{row['mutant']}: the sequence has {sequence[place]} there")
        found.append(positions[place][new] - positions[place][old])
    measured = [float(row["score"]) for row in rows]
    print(f"{len(rows):,} mutants, Spearman with score")
    print(f"{model:20} {spearmanr(found, measured).statistic:.3f}")
    for name in [name for name in rows[0] if name not in ("mutant", "score")]:
        print(f"{name:20} {spearmanr([float(row[name]) for row in rows], measured).statistic:.3f}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
