"""A handmade objective whose words are its tokens. It records what reaches it, and blocks or fails as told."""

import math
import re
import threading
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import nn

from app.errors import EmptyInput, InputTooLong, InvalidValue, NoMask, TooManyMasks
from app.methods.tokenizers import TokenizerReport
from app.modalities.base import BatchRow, OneStepHandler, Prepared, Steps, TaskHandler
from app.modalities.embedding import EmbedItem, EmbedResult
from app.modalities.probe import ProbeClassify, ProbeHead
from app.modalities.served_model import ServedModel
from app.modalities.text.items import (
    Candidate,
    FillMaskItem,
    FillMaskResult,
    MaskPrediction,
    ScoredToken,
    ScoreItem,
    ScoreResult,
    TokenInfo,
)
from app.modalities.text.scoring.comparison import compare_pair
from app.modalities.text.scoring.items import AnyScoreItem, CandidatesItem, CandidatesResult, PairItem, RankedCandidate
from app.types import Activation, Classifier, ClassifierType, ModalityName, Pooling, Task

MASK = "[MASK]"
WORDS = ("lion", "deer", "bird", "bear", "wolf", "fish")
DIMENSIONS = 8
PATIENCE = 20.0  # seconds after which a blocked run gives up, so that a broken test ends


def make_head(classifier: Classifier, seed: int = 0) -> ProbeHead:
    """A head with random numbers on the vectors of a fake."""
    rng, labels = np.random.default_rng(seed), len(classifier.labels)
    mean, scale = rng.normal(size=DIMENSIONS), rng.uniform(0.5, 2, DIMENSIONS)
    return ProbeHead(classifier, mean, scale, rng.normal(size=(labels, DIMENSIONS)), rng.normal(size=labels))


HEAD = make_head(
    Classifier(
        labels=("cat", "dog", "hen"), type=ClassifierType.SINGLE_LABEL, activation=Activation.SOFTMAX, temperature=2.0
    )
)


class FakeObjective(ServedModel):
    """A served model.

    batches: the size of every batch that ran.
    errors: raised by the next runs, one each.
    memory: padded tokens of a batch beyond which it is out of memory, by `oom`.
    gate: runs wait for it. `collated` and `started` are released once for every batch collated and run.
    """

    modality = ModalityName.TEXT
    reads_text = True
    max_length = 64
    mask_token = MASK
    prompts: Mapping[str, str] = MappingProxyType({"query": "one "})
    dimensions: int | None = None

    def __init__(self, tasks: Iterable[Task] = (Task.FILL_MASK, Task.EMBED), head: ProbeHead = HEAD) -> None:
        handlers: dict[Task, Any] = {Task.FILL_MASK: FillMask(self), Task.EMBED: Embed(self), Task.SCORE: Score(self)}
        if Task.CLASSIFY in (tasks := tuple(tasks)):
            handlers[Task.CLASSIFY] = ProbeClassify(handlers[Task.EMBED], head)
            self.classifier = head.classifier
        self.tasks = {task: handlers[task] for task in tasks}
        self.model = nn.Linear(1, 1)
        self.placed: tuple[torch.device, torch.dtype] | None = None
        self.batches: list[int] = []
        self.errors: deque[BaseException] = deque()
        self.memory = math.inf
        self.oom: Exception = torch.OutOfMemoryError("CUDA out of memory (fake)")
        self.gate = threading.Event()
        self.gate.set()
        self.collated = threading.Semaphore(0)
        self.started = threading.Semaphore(0)

    def parameter_count(self) -> int:
        return 2

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        self.placed = (device, dtype)

    def save(self, folder: Path, dtype: torch.dtype) -> None:
        raise AssertionError("a fake is not saved")

    def tokenize(self, text: str, add_special_tokens: bool = True) -> Iterator[TokenInfo]:
        for word in words(text):
            yield TokenInfo(token_id(word.group()), word.group(), special=False, start=word.start(), stop=word.end())

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        names = {token_id(word): word for word in WORDS}
        if wrong := [i for i in ids if not 0 <= i <= 30_000]:
            raise InvalidValue(f"token id {wrong[0]} is outside this model's vocabulary", param="input")
        return " ".join(names.get(i, f"#{i}") for i in ids)

    def report_tokenizer(self, texts: Sequence[str]) -> TokenizerReport:
        count = sum(len(list(self.tokenize(text))) for text in texts)
        return TokenizerReport(
            type="base", reason="a fake", vocabulary=100, tokens=count, unknown_share=0.0, lossless=True
        )


class Handler(TaskHandler):
    def __init__(self, objective: FakeObjective) -> None:
        self.objective = objective

    def check(self, tokens: Sequence[int], truncate: bool) -> tuple[int, ...]:
        limit = self.objective.max_length
        if not tokens:
            raise EmptyInput("the input is empty", param="input")
        if len(tokens) > limit and not truncate:
            raise InputTooLong(f"{len(tokens)} tokens; the model takes {limit}", param="input")
        return tuple(tokens[:limit])

    def collate(self, inputs: Sequence[tuple[int, ...]]) -> torch.Tensor:
        longest = max(map(len, inputs))
        rows = [list(tokens) + [0] * (longest - len(tokens)) for tokens in inputs]
        self.objective.collated.release()
        return torch.tensor(rows)  # [N, L], 0 is padding

    def run(self, batch: torch.Tensor) -> list[np.ndarray]:
        """Per item one [L, DIMENSIONS] array, padding included."""
        fake = self.objective
        fake.batches.append(len(batch))
        fake.started.release()
        if not fake.gate.wait(PATIENCE):
            raise AssertionError("nobody opened the gate")
        if fake.errors:
            raise fake.errors.popleft()
        if batch.numel() > fake.memory:
            raise fake.oom
        waves = torch.arange(1, DIMENSIONS + 1)
        return list(torch.sin(batch[:, :, None] * waves).float().numpy())


class Embed(Handler, OneStepHandler):
    def example(self) -> EmbedItem:
        return EmbedItem("warm up")

    def prepare(self, item: EmbedItem) -> Prepared:
        text = item.input
        tokens = [token_id(word.group()) for word in words(text)] if isinstance(text, str) else list(text)
        tokens = self.check(tokens, item.truncate)
        return Prepared(tokens, len(tokens), item)

    def finish(self, prepared: Prepared, raw: np.ndarray) -> EmbedResult:
        item, rows = prepared.context, raw[: prepared.cost]
        poolers: dict[Pooling | None, Any] = {Pooling.CLS: lambda rows: rows[0], Pooling.MAX: lambda rows: rows.max(0)}
        pool = poolers.get(item.pooling, lambda rows: rows.mean(0))
        vector = rows if item.output in ("tokens", "multi_vector") else pool(rows)
        vector = vector[..., : item.dimensions]
        if item.normalize is not False:
            vector = vector / np.linalg.norm(vector, axis=-1, keepdims=True)
        return EmbedResult(vector.astype(np.float32, copy=False), prepared.cost)


class FillMask(Handler, OneStepHandler):
    def example(self) -> FillMaskItem:
        return FillMaskItem(MASK)

    def prepare(self, item: FillMaskItem) -> Prepared:
        tokens = self.check([token_id(word.group()) for word in words(item.text)], item.truncate)
        masks = tokens.count(token_id(MASK))
        if masks == 0:
            raise NoMask(f"no {MASK} in the input", param="input")
        if masks > item.max_masks:
            raise TooManyMasks(f"{masks} masks; at most {item.max_masks}", param="input")
        return Prepared(tokens, len(tokens), item)

    def finish(self, prepared: Prepared, raw: np.ndarray) -> FillMaskResult:
        item = prepared.context
        choices = (item.targets or WORDS)[: item.top_k]
        masks = []
        for position, word in enumerate(words(item.text)):
            if word.group() == MASK:
                fills = [(1 / (2 + rank), choice) for rank, choice in enumerate(choices)]
                candidates = [
                    Candidate(score, token_id(fill), fill, item.text[: word.start()] + fill + item.text[word.end() :])
                    for score, fill in fills
                ]
                masks.append(MaskPrediction(position, word.start(), word.end(), candidates))
        return FillMaskResult(masks, prepared.cost)


class Score(Handler):
    """A row a word; the longer the text, the less probable each."""

    def example(self) -> ScoreItem:
        return ScoreItem("warm up")

    def steps(self, item: AnyScoreItem) -> Steps:
        if isinstance(item, PairItem):
            return compare_pair(item, self.steps)
        if isinstance(item, CandidatesItem):
            return self._rank(item)
        found = words(item.text)
        return self._one_step(found, self.check([token_id(word.group()) for word in found], item.truncate))

    def _rank(self, item: CandidatesItem) -> Steps:
        ranked, tokens = [], 0
        for index, each in enumerate(item.candidates):
            result = yield from self.steps(ScoreItem(item.context.text.replace(MASK, each)))
            ranked.append(RankedCandidate(index, each, result.log_likelihood, result.pseudo_perplexity))
            tokens += result.tokens
        return CandidatesResult(ranked, tokens)

    def _one_step(self, found: list[re.Match[str]], tokens: tuple[int, ...]) -> Steps:
        yield [BatchRow(tokens, len(tokens)) for _ in tokens]
        scored = [
            ScoredToken(token, word.group(), *word.span(), index, -float(len(tokens)), 1, [])
            for index, (token, word) in enumerate(zip(tokens, found, strict=False))
        ]
        return ScoreResult(scored, len(tokens))


def words(text: str) -> list[re.Match[str]]:
    return list(re.finditer(r"\[MASK\]|\w+|[^\w\s]", text))


def token_id(word: str) -> int:
    return 1 + zlib.crc32(word.encode()) % 30_000
