"""One evaluation: every method, with every number of labels, for every seed."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.datasets.label_checks import EvaluationData
from app.errors import InvalidData
from app.evaluation.baselines import Baseline, FeatureSource
from app.evaluation.embedding import Embedder, EmbeddingRequest
from app.evaluation.metrics import ProbePrediction, score_clusters
from app.evaluation.mistakes import find_mistakes
from app.evaluation.probes import Learner, find_clusters, standardize
from app.evaluation.projection import project
from app.evaluation.results import Findings, Result
from app.evaluation.splits import Indices, LabelCount, Split, choose_counts, draw_subset, has_runs, make_splits
from app.evaluation.target_kinds import TARGET_KINDS
from app.evaluation.tuned_runs import TunedRuns
from app.evaluation.tuning_budget import TuningBudget
from app.evaluation.vectors import measure_spread
from app.store.store import ModelEntry
from app.types import EvaluationMethod

_EMBEDDING = 3.0  # the share of the work that vectors of a model are, where a curve is 1
TUNED: tuple[EvaluationMethod, ...] = ("fine_tune", "from_scratch")  # methods that train the whole network
_WITHOUT_VECTORS = {"baseline", "random_encoder", *TUNED}  # methods without the vectors of a model's own weights
WITHOUT_LABELS: LabelCount = 0  # the number of labels of k-means
_OF_ONE_LABEL = ("kmeans", *TUNED)  # methods for items with one label each

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class EvaluationPlan:
    """The comparison that is asked for. models: entries of the store. labels_per_class: as requested."""

    models: Sequence[ModelEntry]
    methods: Sequence[EvaluationMethod]
    labels_per_class: Sequence[LabelCount]
    seeds: int
    budget: TuningBudget = field(default_factory=TuningBudget)


class EvaluationHooks(Protocol):
    """The interface between an evaluation and its caller."""

    def on_step(self, message: str) -> None:
        """Reports that a part of the work begins. May raise to stop."""
        ...

    def on_share(self, share: float) -> None:
        """Reports the share of the work that is done, in [0, 1]. May raise to stop."""
        ...

    def on_result(self, findings: Findings) -> None:
        """Reports that there is a further result."""
        ...

    def on_vectors(self, name: str, vectors: Vectors) -> None:
        """Keeps the vectors of the items under a name."""
        ...


@dataclass(frozen=True)
class Evaluated:
    """The findings of an evaluation, and the splits that they are of."""

    findings: Findings
    splits: Sequence[Split]


def evaluate(
    plan: EvaluationPlan, data: EvaluationData, baseline: Baseline | None, embedder: Embedder, hooks: EvaluationHooks
) -> Evaluated:
    """Runs an evaluation. baseline: None where the modality has none.

    Raises InvalidData, TaskNotSupported, and what the hooks raise.
    """
    splits = make_splits(data, plan.seeds)
    counts = choose_counts(data, splits, plan.labels_per_class)
    if data.kind == "labels":
        left_out = [method for method in plan.methods if method in _OF_ONE_LABEL]
        plan = replace(plan, methods=[method for method in plan.methods if method not in _OF_ONE_LABEL])
        if not plan.methods:
            raise InvalidData(f"{', '.join(left_out)}: not for items with any number of labels; add linear_probe")
        data.warnings.extend(f"{method} is left out, because items have any number of labels" for method in left_out)
    if baseline is None and "baseline" in plan.methods:
        data.warnings.append("there is no plain baseline for items of this modality")
    findings = Findings(
        data,
        metric=TARGET_KINDS[data.kind].metric,
        baseline=baseline.name if baseline else "",
        models=[model.id for model in plan.models],
        counts=counts,
        warnings=data.warnings,
    )
    _Evaluation(plan, findings, splits, embedder, hooks).run(baseline)
    return Evaluated(findings, splits)


class _Evaluation:
    def __init__(
        self,
        plan: EvaluationPlan,
        findings: Findings,
        splits: Sequence[Split],
        embedder: Embedder,
        hooks: EvaluationHooks,
    ) -> None:
        self._plan, self._findings, self._splits = plan, findings, splits
        self._embedder, self._hooks = embedder, hooks
        self._data = findings.data
        self._kind = TARGET_KINDS[self._data.kind]
        self._contents = [item.content for item in self._data.items]
        self._done, self._run_work = 0.0, 0.0
        self._total = self._measure_work()

    def run(self, baseline: Baseline | None) -> None:
        methods, linear = self._plan.methods, self._kind.linear
        if baseline is not None and "baseline" in methods:
            self._hooks.on_step(f"Evaluating the baseline: {baseline.name}")
            self._add_curve("baseline", None, linear, baseline.features)
        for place, model in enumerate(self._plan.models, 1):
            if set(methods) - _WITHOUT_VECTORS:
                self._evaluate_model(model, place, linear)
            if "random_encoder" in methods:
                vectors = self._embed(model, f"vectors-{place}-random", random_weights=True)
                self._add_curve("random_encoder", model.id, linear, _standardized(vectors))
            for method in TUNED:
                if method in methods:
                    self._hooks.on_step(f"Training {model.id}: {method}")
                    self._add_curve(method, model.id, self._tune(model, method), lambda train, test: (train, test))

    def _tune(self, model: ModelEntry, method: EvaluationMethod) -> Learner:
        """Returns the learner that trains the whole network. Its features are indices of the items."""
        runs = TunedRuns(
            self._embedder,
            model,
            self._contents,
            lambda share: self._hooks.on_share((self._done + share * self._run_work) / self._total),
            random_weights=method == "from_scratch",
            has_classes=self._data.has_classes,
            budget=self._plan.budget,
        )
        return runs.learn

    def _evaluate_model(self, model: ModelEntry, place: int, linear: Learner) -> None:
        methods = self._plan.methods
        vectors = self._embed(model, f"vectors-{place}", random_weights=False)
        self._findings.spreads[model.id] = measure_spread(vectors)
        self._findings.projections.append(project(model.id, vectors))
        if "linear_probe" in methods:
            self._add_curve("linear_probe", model.id, linear, _standardized(vectors))
        if "knn" in methods:
            self._add_curve("knn", model.id, self._kind.neighbours, lambda train, test: (vectors[train], vectors[test]))
        if "kmeans" in methods and self._data.kind == "classes":
            self._add_clusters(model.id, vectors)

    def _embed(self, model: ModelEntry, name: str, *, random_weights: bool) -> Vectors:
        weights = " with random weights" if random_weights else ""
        self._hooks.on_step(f"Computing the vectors of {len(self._contents):,} items with {model.id}{weights}")
        begun, places = self._done, [item.place for item in self._data.items]

        def report(done: int) -> None:
            self._done = begun + _EMBEDDING * done / len(self._contents)
            self._hooks.on_share(self._done / self._total)

        request = EmbeddingRequest(model, self._contents, places, random_weights)
        vectors = self._embedder.embed(request, report)
        self._hooks.on_vectors(name, vectors)
        return vectors

    def _add_curve(
        self, method: EvaluationMethod, model: str | None, learner: Learner, features: FeatureSource
    ) -> None:
        """Adds the results of a method for each number of labels."""
        for count in self._findings.counts:
            drawn = self._draw(count)
            runs, predictions = [], []
            for split, subset in drawn:
                train, test = features(subset, split.test)
                self._run_work = self._measure_run(method, count, split, subset)
                prediction = learner(train, self._data.targets[subset], test, split.seed)
                runs.append(self._kind.score(self._data.targets[split.test], prediction, len(self._data.classes)))
                predictions.append(prediction)
                self._advance(self._run_work)
            labels = float(np.mean([len(subset) for _, subset in drawn]))
            strengths = [prediction.strength for prediction in predictions]
            tested = [split for split, _ in drawn]
            contributions = self._contribute(tested, predictions)
            if method == "linear_probe" and model and count == self._findings.counts[-1]:
                self._findings.mistakes.append(find_mistakes(self._data, model, count, tested, predictions))
            self._add(Result(method, model, count, labels, runs, strengths, contributions))

    def _contribute(self, splits: Sequence[Split], predictions: Sequence[ProbePrediction]) -> NDArray[np.float16]:
        """Returns what each item adds to the metric that is compared, on average over the splits that test it."""
        total, times = np.zeros(len(self._data.items)), np.zeros(len(self._data.items))
        for split, prediction in zip(splits, predictions, strict=True):
            targets = self._data.targets[split.test].astype(np.float64)
            total[split.test] += self._kind.contribute(targets, prediction)
            times[split.test] += 1
        with np.errstate(invalid="ignore"):
            return np.asarray(total / times, np.float16)

    def _draw(self, count: LabelCount) -> list[tuple[Split, Indices]]:
        """Returns the splits that have a run of their own with a number of labels, and their training subsets."""
        splits = self._splits if has_runs(self._data, count) else self._splits[:1]
        return [(split, draw_subset(self._data, split, count)) for split in splits]

    def _measure_work(self) -> float:
        """Returns the work of all that is to be done, where a curve is 1."""
        methods = set(self._plan.methods)
        curves = len(methods - _WITHOUT_VECTORS)
        of_model = _EMBEDDING + curves if curves else 0.0
        if "random_encoder" in methods:
            of_model += _EMBEDDING + 1
        for method in methods.intersection(TUNED):
            for count in self._findings.counts:
                of_model += sum(self._measure_run(method, count, *drawn) for drawn in self._draw(count))
        return ("baseline" in methods) + len(self._plan.models) * of_model

    def _measure_run(self, method: EvaluationMethod, count: LabelCount, split: Split, subset: Indices) -> float:
        """Returns the work of one run, where a curve without training of the network is 1."""
        if method not in TUNED:
            return 1 / len(self._findings.counts) / (len(self._splits) if has_runs(self._data, count) else 1)
        work = self._plan.budget.measure_run(
            self._data.targets[subset], len(split.test), has_classes=self._data.has_classes
        )
        return _EMBEDDING * work / len(self._contents)

    def _add_clusters(self, model: str, vectors: Vectors) -> None:
        runs = []
        for split in self._splits:
            clusters = find_clusters(vectors, len(self._data.classes), split.seed)
            runs.append(score_clusters(self._data.targets[split.test].astype(np.int64), clusters[split.test]))
            self._advance(1 / len(self._splits))
        self._add(Result("kmeans", model, WITHOUT_LABELS, 0.0, runs))

    def _add(self, result: Result) -> None:
        self._findings.results.append(result)
        self._hooks.on_result(self._findings)

    def _advance(self, work: float) -> None:
        self._done += work
        self._hooks.on_share(min(1.0, self._done / self._total))


def _standardized(vectors: Vectors) -> FeatureSource:
    return lambda train, test: standardize(vectors[train], vectors[test])
