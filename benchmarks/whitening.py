"""Compares vectors as they are with whitened ones: python -m benchmarks.whitening STUDY

STUDY is the folder of `benchmarks.study`. Its evaluations of media models hold the vectors of all items and the splits.
The mean and the principal axes come from all vectors of a task, without labels. Prints the accuracy of a linear probe
and of the five nearest neighbours by cosine, the mean over at most three splits.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.evaluation.probes import classify_by_neighbours, classify_linearly, standardize

Vectors = NDArray[np.float64]

SPLITS = 3
TRAINING, TEST = 3_000, 1_500  # items at most
FLOOR = 0.01  # of the largest deviation, added to each


def whiten(vectors: Vectors) -> Vectors:
    """Rotates vectors [N, D] to their principal axes and divides each axis by its deviation."""
    centred = vectors - vectors.mean(0)
    _, scales, axes = np.linalg.svd(centred, full_matrices=False)
    deviations = scales / np.sqrt(len(vectors))
    whitened: Vectors = centred @ axes.T / (deviations + FLOOR * deviations[0])
    return whitened


def measure(vectors: Vectors, targets: NDArray[np.int64], splits: list[Any], count: str) -> tuple[float, float] | None:
    """Returns the accuracy of the linear probe and of the neighbours with `count` labels a class."""
    found = []
    for split in splits[: 1 if count == "all" else SPLITS]:
        if count not in split["subsets"]:
            continue
        train, test = np.array(split["subsets"][count])[:TRAINING], np.array(split["test"])[:TEST]
        given = vectors[train], targets[train], vectors[test]
        known, asked = standardize(given[0], given[2])
        linear = classify_linearly(known, given[1], asked, 0)
        near = classify_by_neighbours(*given, 0)
        found.append([(each.values == targets[test]).mean() for each in (linear, near)])
    if not found:
        return None
    linear_score, near_score = np.mean(found, 0).tolist()
    return linear_score, near_score


def find_evaluations(study: Path) -> Iterator[tuple[str, Path]]:
    for report in sorted(study.glob("var/jobs/*/artifacts/report.json")):
        model = json.loads(report.read_bytes())["models"][0]["id"]
        if model.startswith(("cloze-image", "cloze-audio", "cloze-video")):
            yield model, report.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    for model, folder in find_evaluations(parser.parse_args().study):
        vectors = np.load(folder / "vectors-1.npy").astype(np.float64)
        document = json.loads((folder / "splits.json").read_bytes())
        _, targets = np.unique([item["target"] for item in document["items"]], return_inverse=True)
        forms = {"as they are": vectors, "whitened": whiten(vectors)}
        for count in ("5", "10", "all"):
            for name, form in forms.items():
                scores = measure(form, targets, document["splits"], count)
                if scores:
                    print(f"{model}\t{len(vectors)}\t{count}\t{name}\t{scores[0]:.3f}\t{scores[1]:.3f}", flush=True)


if __name__ == "__main__":
    main()
