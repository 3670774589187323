"""How good a model of media is, on held-out data: python -m benchmarks.media_quality MODEL --data FOLDER

    psnr     over the hidden patches, in dB, with the model's own ratio and strategy, one seed for all models;
             beside the visible patches' mean and interpolation: means over the items
    probe    accuracy of a linear classifier on the frozen embeddings, with 10 labels a class (mean of 5 draws)
             and with all; beside the same encoder with random weights, and the model's raw input

FOLDER holds shared/data's archives. A probe is multinomial logistic regression on standardised features; how
strongly it is regularised is chosen on a fifth of its training items.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from app.modalities.embedding import EmbedItem
from app.modalities.patch.objective import PatchObjective
from app.modalities.reconstruction import ReconstructItem
from app.types import Task
from benchmarks.media_sets import SETS, Labelled
from benchmarks.offline import load_model, perform

DRAWS, FEW = 5, 10
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
Floats = NDArray[np.float32]


def reconstruction(objective: PatchObjective, items: Sequence[Labelled]) -> dict[str, float]:
    results = perform(objective, Task.RECONSTRUCT, [ReconstructItem(item.content) for item in items], batch=16)
    figures = [{"model": r.psnr, **r.baselines} for r in results]
    return {name: float(np.mean([f[name] for f in figures])) for name in figures[0]}


def embeddings(objective: PatchObjective, items: Sequence[Labelled]) -> Floats:
    """[items, H]"""
    asked = [EmbedItem(item.content, normalize=False) for item in items]
    return np.stack([r.vector for r in perform(objective, Task.EMBED, asked, batch=32)])


def raw_input(objective: PatchObjective, items: Sequence[Labelled]) -> Floats:
    """[items, values of a window]: the mean over the windows of what the model is given."""
    return np.stack([objective.processor.read(item.content).windows.mean(0).reshape(-1) for item in items])


@torch.no_grad()
def randomise(model: nn.Module, seed: int = 0) -> None:
    """Weights as before any training. Fixed tables of positions stay."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            module.reset_parameters()
        elif isinstance(module, nn.Linear | nn.modules.conv._ConvNd):
            flat = module.weight.view(len(module.weight), -1)
            nn.init.xavier_uniform_(flat, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def classify(
    features: torch.Tensor, labels: torch.Tensor, classes: int, penalty: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights [D, classes] and biases of a logistic regression, to convergence."""
    weights = torch.zeros(features.shape[1], classes, requires_grad=True)
    biases = torch.zeros(classes, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights, biases], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(features @ weights + biases, labels) + penalty * weights.square().sum() / 2
        loss.backward()
        return loss

    optimizer.step(closure)
    return weights.detach(), biases.detach()


def accuracy(
    train: torch.Tensor, train_y: torch.Tensor, test: torch.Tensor, test_y: torch.Tensor, penalty: float
) -> float:
    classes = int(max(train_y.max(), test_y.max())) + 1
    weights, biases = classify(train, train_y, classes, penalty)
    return float(((test @ weights + biases).argmax(1) == test_y).float().mean())


def standardise(train: torch.Tensor, test: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """By the training items; where they are fewer than the features, in a basis of what they span.

    The best weights lie in that span (the representer theorem), so that the probe is the same and far quicker.
    """
    mean, deviation = train.mean(0), train.std(0) + 1e-6
    train, test = (train - mean) / deviation, (test - mean) / deviation
    if len(train) >= train.shape[1]:
        return train, test
    squares, directions = torch.linalg.eigh(train @ train.T)
    kept = squares > squares[-1] * 1e-6
    scales = squares[kept].sqrt()
    return directions[:, kept] * scales, test @ (train.T @ (directions[:, kept] / scales))


def probe(train: Floats, train_y: NDArray[np.int64], test: Floats, test_y: NDArray[np.int64]) -> float:
    """Accuracy on the test items; the penalty is the one that a fifth of the training items like best."""
    x, y, tx, ty = (torch.from_numpy(np.ascontiguousarray(a)) for a in (train, train_y, test, test_y))
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(x)))
    kept, tried = order[len(x) // 5 :], order[: len(x) // 5]
    a, b = standardise(x[kept], x[tried])
    best = max(PENALTIES, key=lambda p: accuracy(a, y[kept], b, y[tried], p))
    x, tx = standardise(x, tx)
    return accuracy(x, y, tx, ty, best)


def probes(features: Floats, items: Sequence[Labelled]) -> tuple[float, float]:
    """(with FEW labels a class, with all of them)"""
    names = sorted({item.label for item in items})
    y = np.array([names.index(item.label) for item in items])
    held = np.array([item.held_out for item in items])
    train, train_y, test, test_y = features[~held], y[~held], features[held], y[held]
    few = []
    for draw in range(DRAWS):
        order = np.random.default_rng(draw).permutation(len(train))
        chosen = np.concatenate([order[train_y[order] == c][:FEW] for c in range(len(names))])
        few.append(probe(train[chosen], train_y[chosen], test, test_y))
    return float(np.mean(few)), probe(train, train_y, test, test_y)


def report_psnr(objective: PatchObjective, data: Path) -> None:
    for name, source in SETS[objective.modality].items():
        figures = reconstruction(objective, [item for item in source(data) if item.held_out])
        print(f"{name}: psnr", ", ".join(f"{k} {v:.2f} dB" for k, v in figures.items()), flush=True)


def report_probes(objective: PatchObjective, random: PatchObjective, data: Path) -> None:
    rows = {
        "pretrained": (embeddings, objective),
        "random weights": (embeddings, random),
        "raw input": (raw_input, objective),
    }
    for name, source in SETS[objective.modality].items():
        items = source(data)
        for row, (extract, model) in rows.items():
            few, everything = probes(extract(model, items), items)
            print(f"{name}: probe, {row}: {FEW} labels a class {few:.3f}, all {everything:.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="an id of the store, or a folder")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--store", type=Path, default=Path("model_store"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=["psnr", "probe"])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    objective, random = (load_model(options.model, options.store) for _ in range(2))
    assert isinstance(objective, PatchObjective)
    assert isinstance(random, PatchObjective)
    if options.only != "probe" and Task.RECONSTRUCT in objective.tasks:
        report_psnr(objective, options.data)
    if options.only != "psnr":
        randomise(random.model)
        report_probes(objective, random, options.data)


if __name__ == "__main__":
    main()
