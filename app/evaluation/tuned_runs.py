"""Runs of fine-tuning: each is a learner's answer, and is kept in the cache, so that a killed job does none twice."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cached_property
from io import BytesIO
from pathlib import Path

import numpy as np
import torch

from app.devices import batch_tokens, resolve_device, resolve_dtype
from app.errors import TaskNotSupported
from app.evaluation.embedding import Embedder
from app.evaluation.fine_tuning import (
    FineTuner,
    Labelled,
    OnWork,
    Schedule,
    TunedNetwork,
    TuningMachine,
    measure_loss,
)
from app.evaluation.item_batches import Content
from app.evaluation.metrics import ProbePrediction
from app.evaluation.probes import Targets
from app.evaluation.splits import Indices
from app.evaluation.tuning_budget import DEFAULT_RATE, RATES, TuningBudget, cut_labels
from app.modalities import registry
from app.store.store import ModelEntry
from app.system.cpus import cpu_count
from app.system.durable import write_bytes
from app.training.data.cache import open_entry
from app.types import Task

_FORMAT = 1  # of the entries; raise it when predictions of the same items change
_FILE = "prediction.npz"

OnShare = Callable[[float], None]  # is told the share of a run that is done; may raise to stop


class TunedRuns:
    """Fine-tunes a model on subsets of items. `learn` is a learner whose features are indices of the items.

    contents: of all items. random_weights: whether the network begins with random weights.
    """

    def __init__(
        self,
        embedder: Embedder,
        model: ModelEntry,
        contents: Sequence[Content],
        on_share: OnShare,
        *,
        random_weights: bool,
        has_classes: bool,
        budget: TuningBudget,
    ) -> None:
        self._budget = budget
        self._embedder, self._model, self._contents = embedder, model, contents
        self._on_share = on_share
        self._random, self._has_classes = random_weights, has_classes

    def learn(self, train: Indices, targets: Targets, test: Indices, seed: int) -> ProbePrediction:
        """Returns the predictions of the test items, from the cache if they are there.

        Raises TaskNotSupported, and what `on_share` raises.
        """
        folder = self._embedder.cache / "fine-tuned" / self._digest(train, targets, test, seed)

        def make(aside: Path) -> None:
            write_bytes(aside / _FILE, _serialize(self._train(train, targets, test, seed)))

        with open_entry(folder, make, lambda: self._on_share(0.0)):
            return _parse((folder / _FILE).read_bytes())

    def _digest(self, train: Indices, targets: Targets, test: Indices, seed: int) -> str:
        options = self._embedder.options
        facts = [_FORMAT, self._model.manifest.files, self._random, options.device, options.dtype, seed]
        facts += [RATES, asdict(self._budget), targets.tolist()]
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        for index in (*train, *test):
            content = self._contents[index]
            raw = content.encode(errors="replace") if isinstance(content, str) else content
            digest.update(hashlib.sha256(raw).digest())
        return digest.hexdigest()[:32]

    def _train(self, train: Indices, targets: Targets, test: Indices, seed: int) -> ProbePrediction:
        total, done = self._budget.measure_run(targets, len(test), has_classes=self._has_classes), 0.0

        def on_work(work: float) -> None:
            nonlocal done
            done += work
            self._on_share(min(1.0, done / total))

        run = _Run(self._tuner, [self._contents[i] for i in train], targets, seed, self._has_classes)
        rate = run.choose_rate(self._budget.count_trial_steps(len(train)), on_work)
        classifier = run.train(np.arange(len(train)), rate, self._budget.count_steps(len(train)), on_work)
        return run.interpret(self._tuner.predict(classifier, [self._contents[i] for i in test], on_work), rate)

    @cached_property
    def _tuner(self) -> FineTuner:
        """The network, which is loaded for the first run that is not in the cache."""
        options = self._embedder.options
        device = resolve_device(options.device)
        served = registry.load(self._model.path, dtype=torch.float32)
        if not hasattr(served.tasks.get(Task.EMBED), "compute_vectors"):
            raise TaskNotSupported(
                f"{self._model.id} cannot be fine-tuned; leave the methods fine_tune and from_scratch out",
                param="methods",
            )
        # Other jobs, and the processes that decode, need processors too.
        torch.set_num_threads(options.threads or max(1, cpu_count() // 2))
        tokens = options.max_batch_tokens or batch_tokens(device)
        machine = TuningMachine(device, resolve_dtype(options.dtype, device), tokens, self._embedder.decoders)
        return FineTuner(served, machine, random_weights=self._random)


class _Run:
    """One training subset, with targets as the network learns them."""

    def __init__(
        self, tuner: FineTuner, contents: Sequence[Content], targets: Targets, seed: int, has_classes: bool
    ) -> None:
        self._tuner, self._contents, self._seed = tuner, contents, seed
        self._targets, self._has_classes = targets, has_classes
        self._codes = np.unique(targets) if has_classes else np.zeros(1)
        self._mean, self._scale = float(np.mean(targets)), float(np.std(targets)) or 1.0

    def choose_rate(self, steps: int, on_work: OnWork) -> float:
        """Returns the learning rate of `RATES` with the least loss on training labels that are left out.

        steps: for which each rate is tried.
        """
        cut = cut_labels(self._targets, self._seed, has_classes=self._has_classes)
        if cut is None:
            return DEFAULT_RATE
        fitted, left_out = cut
        known = self._select(left_out)
        losses = []
        for rate in RATES:
            classifier = self.train(fitted, rate, steps, on_work)
            outputs = self._tuner.predict(classifier, known.contents, on_work)
            losses.append(float(measure_loss(outputs, known.targets)))
        return RATES[int(np.argmin(np.nan_to_num(losses, nan=np.inf)))]

    def train(self, chosen: Indices, rate: float, steps: int, on_work: OnWork) -> TunedNetwork:
        """Trains on some of the labels."""
        return self._tuner.train(self._select(chosen), Schedule(rate, steps, self._seed), on_work)

    def _select(self, chosen: Indices) -> Labelled:
        targets = self._targets[chosen]
        learnt = (
            torch.from_numpy(np.searchsorted(self._codes, targets))
            if self._has_classes
            else torch.from_numpy(((targets - self._mean) / self._scale).astype(np.float32))
        )
        return Labelled([self._contents[i] for i in chosen], learnt, len(self._codes))

    def interpret(self, outputs: torch.Tensor, rate: float) -> ProbePrediction:
        """Returns the prediction that outputs [N, outputs] are."""
        found = np.nan_to_num(outputs.double().numpy())
        if not self._has_classes:
            return ProbePrediction(found[:, 0] * self._scale + self._mean, strength=rate)
        scores = 1 / (1 + np.exp(found[:, 0] - found[:, 1])) if found.shape[1] == 2 else None
        return ProbePrediction(self._codes[found.argmax(1)], scores, rate)


def _serialize(prediction: ProbePrediction) -> bytes:
    stream = BytesIO()
    scores = np.empty(0) if prediction.scores is None else prediction.scores
    np.savez(stream, values=prediction.values, rate=np.array(prediction.strength), scores=scores)
    return stream.getvalue()


def _parse(content: bytes) -> ProbePrediction:
    with np.load(BytesIO(content)) as found:
        scores = found["scores"]
        return ProbePrediction(found["values"], scores if len(scores) else None, float(found["rate"]))
