"""The bounds of requests for each task, and the size of their answers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from app.errors import InvalidValue
from app.inference.answer_size import (
    check_entities,
    check_fill_mask,
    check_labels,
    check_part_vectors,
    check_sparse,
    vectors_size,
)
from app.inference.limits import RequestLimits
from app.modalities.classification import ClassifyItem, ClassifyResult, LabelledTokens
from app.modalities.embedding import TEXT_OUTPUTS, EmbedItem, EmbedResult
from app.modalities.text.items import MAX_ROWS, FillMaskItem, ScoreItem, ScoreResult
from app.modalities.text.scoring.items import AnyScoreItem, AnyScoreResult, CandidatesItem, PairItem, VariantsItem
from app.modalities.text.scoring.notation import MAX_SUBSTITUTIONS
from app.types import Classifier, ClassifierType, Task

_TOKEN, _CANDIDATE = 150, 70  # characters of an answer to score that a token takes, and one of its candidates
_VARIANT = 60  # characters of an answer that a variant takes beside a long name

# Names of fields in a dialect, by their names here. A field that is absent has the same name.
Names = Mapping[str, str]


class ModelFacts(Protocol):
    """The facts about a model that bounds depend on. None: the model has none."""

    @property
    def mask_token(self) -> str | None: ...

    @property
    def max_length(self) -> int | None: ...

    @property
    def dimensions(self) -> int | None: ...

    @property
    def expanded_length(self) -> int: ...

    @property
    def classifier(self) -> Classifier | None: ...


class TaskBounds:
    """The bounds of a task without any of its own."""

    def limit(self, items: Sequence[Any], limits: RequestLimits, names: Names) -> Sequence[Any]:
        """Returns the items with the server's limits in them. Raises InvalidValue."""
        return items

    def expect(self, items: Sequence[Any], model: ModelFacts, names: Names, largest: int) -> int:
        """Returns how many characters the answer may have; 0 if it cannot become large. Raises InvalidValue."""
        return 0

    def measure(self, results: Sequence[Any], expected: int) -> int:
        """Returns about how many characters the answer has."""
        return expected


class FillMaskBounds(TaskBounds):
    def limit(self, items: Sequence[FillMaskItem], limits: RequestLimits, names: Names) -> Sequence[FillMaskItem]:
        for top_k in {item.top_k for item in items}:
            limits.check_top_k(top_k, names.get("top_k", "top_k"))
        rows = max(MAX_ROWS // max(len(items), 1), 1)
        return [
            # An item of one row is the same item in every request, so that its answer can be shared.
            replace(item, max_masks=limits.masks, max_rows=rows if _takes_rows(item) else MAX_ROWS)
            for item in items
        ]

    def expect(self, items: Sequence[FillMaskItem], model: ModelFacts, names: Names, largest: int) -> int:
        return check_fill_mask(model.mask_token, items, largest=largest, param=names.get("top_k", "top_k"))


def _takes_rows(item: FillMaskItem) -> bool:
    """Whether an item may take more than one row."""
    return bool(item.targets or item.whole_words or item.sequences)


class EmbedBounds(TaskBounds):
    def limit(self, items: Sequence[EmbedItem], limits: RequestLimits, names: Names) -> Sequence[EmbedItem]:
        read = [limits.token_ids.read(item, names.get("input", "input")) for item in items]
        return [_choose_overflow(item, limits) for item in read]

    def expect(self, items: Sequence[EmbedItem], model: ModelFacts, names: Names, largest: int) -> int:
        if items and items[0].output == "sparse":
            return check_sparse(items, param=names.get("top_k", "top_k"))
        if not items or items[0].output not in (*TEXT_OUTPUTS, "multi_vector"):
            return 0
        if any(not isinstance(item.input, str | tuple) for item in items):
            raise InvalidValue(f"only texts have {items[0].output}, not files", param=names.get("output", "output"))
        return check_part_vectors(items, model, param=names.get("input", "input"))

    def measure(self, results: Sequence[EmbedResult], expected: int) -> int:
        return vectors_size(sum(result.vector.size for result in results))


def _choose_overflow(item: EmbedItem, limits: RequestLimits) -> EmbedItem:
    if not item.split or limits.embed_overflow == "windows":
        return item
    return replace(item, split=False, truncate=limits.embed_overflow == "truncate")


class ClassifyBounds(TaskBounds):
    def limit(self, items: Sequence[ClassifyItem], limits: RequestLimits, names: Names) -> Sequence[ClassifyItem]:
        for top_k in {item.top_k for item in items}:
            limits.check_top_k(top_k, names.get("top_k", "top_k"))
        return [limits.token_ids.read(item, names.get("input", "input")) for item in items]

    def expect(self, items: Sequence[ClassifyItem], model: ModelFacts, names: Names, largest: int) -> int:
        labels = model.classifier.labels if model.classifier else ()
        if model.classifier and model.classifier.type is ClassifierType.TOKENS:
            return check_entities(items, model.max_length, labels, largest=largest, param=names.get("input", "input"))
        return check_labels([item.top_k for item in items], labels, largest=largest, param=names.get("top_k", "top_k"))

    def measure(self, results: Sequence[ClassifyResult | LabelledTokens], expected: int) -> int:
        tokens = [len(result.entities) for result in results if isinstance(result, LabelledTokens)]
        return sum(tokens) * _TOKEN if tokens else expected


class ScoreBounds(TaskBounds):
    def limit(self, items: Sequence[AnyScoreItem], limits: RequestLimits, names: Names) -> Sequence[AnyScoreItem]:
        ranked = [len(item.candidates) for item in items if isinstance(item, CandidatesItem)]
        pairs = [2 for item in items if isinstance(item, PairItem)]
        for count, param in ((sum(ranked), "candidates"), (sum(pairs), "pairs")):
            if count > limits.inputs:
                raise InvalidValue(f"`{param}` make {count} texts; one request may have {limits.inputs}", param=param)
        return [_share_rows(item, len(items)) for item in items]

    def expect(self, items: Sequence[AnyScoreItem], model: ModelFacts, names: Names, largest: int) -> int:
        return sum(_size_of_variants(item, model.max_length) for item in items)

    def measure(self, results: Sequence[AnyScoreResult], expected: int) -> int:
        texts = [result for result in results if isinstance(result, ScoreResult)]
        return expected + sum(_TOKEN + _CANDIDATE * len(token.candidates) for text in texts for token in text.scored)


def _share_rows(item: AnyScoreItem, count: int) -> AnyScoreItem:
    """Returns an item whose windows may take an equal part of the rows of a request. count: of its items."""
    if isinstance(item, PairItem) and item.good.windows:
        rows = max(MAX_ROWS // (2 * count), 1)
        return replace(item, good=replace(item.good, max_rows=rows), bad=replace(item.bad, max_rows=rows))
    if isinstance(item, ScoreItem) and item.windows:
        return replace(item, max_rows=max(MAX_ROWS // count, 1))
    return item


def _size_of_variants(item: AnyScoreItem, max_length: int | None) -> int:
    """Returns how many characters the variants of an answer take, at most."""
    if not isinstance(item, VariantsItem):
        return 0
    if item.variants is not None:
        return sum(map(len, item.variants)) + _VARIANT * len(item.variants)
    places = len(item.text) if max_length is None or item.windows else min(len(item.text), max_length)
    count = min(places * len(item.letters), MAX_SUBSTITUTIONS) if item.letters else MAX_SUBSTITUTIONS
    return _VARIANT * count


BOUNDS: Mapping[Task, TaskBounds] = {
    Task.FILL_MASK: FillMaskBounds(),
    Task.EMBED: EmbedBounds(),
    Task.SCORE: ScoreBounds(),
    Task.RECONSTRUCT: TaskBounds(),
    Task.CLASSIFY: ClassifyBounds(),
}
