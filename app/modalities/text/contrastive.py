"""Contrastive training of a text encoder. `contrastive_loss` has the loss."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from app.errors import InvalidValue
from app.methods import ContrastiveHyperparameters
from app.modalities.embedding import Matryoshka
from app.modalities.served_model import MaskedModel
from app.modalities.text.batches import TextBatch
from app.modalities.text.characters import describe_tokenizer
from app.modalities.text.contrastive_loss import ContrastiveLoss, PairVectors, find_hits
from app.modalities.text.forward import TextForward
from app.modalities.text.gradient_caching import add_cached_gradients
from app.modalities.text.objective import TextObjective, pad_token
from app.modalities.text.pipeline import pool
from app.modalities.text.rank_correlation import correlate_ranks
from app.modalities.text.term_weights import TermWeights
from app.modalities.trainable import Counts, Metrics, StepContext
from app.types import ModalityName

DEFAULT_DROPOUT = 0.1  # of views that differ by dropout alone, for a model that has none
SCORED_AT_ONCE = 32  # scored pairs of a forward pass
_EVAL_SEED = 20260101  # of the dropout of evaluations

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class PairSample:
    """A pair of texts, with their hard negative if there is one.

    texts: token ids of two or three, special ones included. keys: of each, equal for equal texts.
    """

    texts: tuple[Ids, ...]
    keys: tuple[int, ...]


@dataclass(frozen=True)
class ScoredTexts:
    """Token ids of two texts, special ones included, and how similar people find them."""

    first: Ids
    second: Ids
    score: float


@dataclass(frozen=True)
class PairBatch:
    """N pairs with M hard negatives.

    texts: all of them, sorted by length. order: [2 N + M] the places of the anchors, the positives and the negatives
    among them. keys: in the order of `order`.
    """

    texts: TextBatch
    order: Tensor
    keys: Tensor
    counts: Counts
    tokens: int

    def to(self, device: torch.device) -> "PairBatch":
        return self  # the forward pass moves what it needs


class ContrastiveText(MaskedModel[PairSample, PairSample, PairBatch]):
    """A text encoder that learns sentence embeddings. It embeds as `text` does, in training and when it is served.

    text: the encoder, without a masked-LM head. scored: pairs whose scores the cosines should follow.
    Modules between the pooling and the vector, if it has any, stay as they are.
    """

    modality = ModalityName.TEXT
    reads_text = True
    compares_with_start = True

    def __init__(
        self, text: TextObjective, hyperparameters: ContrastiveHyperparameters, scored: Sequence[ScoredTexts] = ()
    ) -> None:
        """Raises InvalidValue for hyperparameters that do not fit the model."""
        self.text, self.model, self.tasks = text, text.model, text.tasks
        self.dimensions, self.max_length, self.forward_path = text.dimensions, text.max_length, text.forward_path
        self._hyperparameters, self._scored = hyperparameters, scored
        if scored:
            self.measure, self.lower_is_better = "spearman", False
        self._forward = TextForward(text.model, text.path, pad_token(text.model, text.tokenizer))
        text.pipeline.head.requires_grad_(False)
        sizes = hyperparameters.sizes
        if sizes and sizes[0] > text.dimensions:
            raise InvalidValue(
                f"the model's embeddings have {text.dimensions} dimensions, fewer than {sizes[0]}",
                param="matryoshka_dimensions",
            )
        self._sizes = tuple(size for size in sizes if size < text.dimensions)
        self._record_sizes()
        self._loss = ContrastiveLoss(hyperparameters.scale, hyperparameters.symmetric, self._sizes)
        self._dropout = self._set_dropout()

    def _record_sizes(self) -> None:
        """Makes the saved model say to which sizes its vectors can be cut."""
        trained = Matryoshka((self.text.dimensions, *self._sizes)) if self._sizes else None
        self.text.pipeline = replace(self.text.pipeline, matryoshka=trained)

    def _set_dropout(self) -> float:
        """Sets the probability of all dropout layers, and returns the largest."""
        layers = [module for module in self.model.modules() if isinstance(module, nn.Dropout)]
        own = max((layer.p for layer in layers), default=0.0)
        wanted, views = self._hyperparameters.dropout, self._hyperparameters.positives == "dropout"
        if wanted is None and views and not own:
            wanted = DEFAULT_DROPOUT
        if views and not layers:
            raise InvalidValue("the model has no dropout layer, so both views of a text are equal", param="positives")
        if wanted is not None:
            for layer in layers:
                layer.p = wanted
        return own if wanted is None else wanted

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        self.text.to(device, dtype)

    def parameter_count(self) -> int:
        return self.text.parameter_count()

    def save(self, folder: Path, dtype: torch.dtype) -> None:
        self.text.save(folder, dtype)

    def describe_choices(self) -> dict[str, Any]:
        hp = self._hyperparameters
        return {
            "positives": hp.positives,
            "sequence_length": hp.sequence_length,
            "pooling": "+".join(self.text.pipeline.pooling),
            "scale": hp.scale,
            "symmetric": hp.symmetric,
            "matryoshka_dimensions": ", ".join(map(str, (self.dimensions, *self._sizes))) if self._sizes else None,
            "dropout": self._dropout,
            **describe_tokenizer(self.text.tokenizer),
        }

    def mask_sample(
        self, sample: PairSample, rng: np.random.Generator, *, evaluate: bool = False, fraction: float = 0.0
    ) -> PairSample:
        return sample  # nothing is masked

    def collate_masked(self, samples: Sequence[PairSample]) -> PairBatch:
        columns = _split_columns(samples)
        texts = [ids.tolist() for column in columns for ids, _ in column]
        batch, order = self._collate(texts)
        return PairBatch(
            texts=batch,
            order=order,
            keys=torch.tensor([key for column in columns for _, key in column], dtype=torch.int64),
            counts=Counts(len(samples), len(samples)),
            tokens=sum(map(len, texts)),
        )

    def _collate(self, texts: Sequence[list[int]]) -> tuple[TextBatch, Tensor]:
        """Returns the texts sorted by length, and the place of each. Neighbours of one length attend together."""
        order = np.argsort([len(ids) for ids in texts], kind="stable")
        return self._forward.collate([texts[place] for place in order]), torch.from_numpy(np.argsort(order))

    def _embed(self, texts: TextBatch, order: Tensor) -> Tensor:
        """Returns the vectors of texts before the final normalization, [T, D] in float32, in the order of `order`.

        Pooling and head compute in float32, as they do when the model is served.
        """
        hidden_states = self._forward.hidden_states(texts).float()  # [tokens, H]
        pipeline, device = self.text.pipeline, hidden_states.device
        with torch.autocast(device.type, enabled=False):
            vectors = pool(pipeline.pooling, hidden_states, torch.tensor(texts.lengths, device=device))
            vectors = cast(Tensor, pipeline.head(vectors))[:, : pipeline.truncate_dim]
        return vectors[order.to(device)]

    def embed_pairs(self, batch: PairBatch) -> PairVectors:
        vectors, count = self._embed(batch.texts, batch.order), batch.counts.positions
        sizes = [count, count, len(vectors) - 2 * count]
        return PairVectors(*torch.split(vectors, sizes), *torch.split(batch.keys.to(vectors.device), sizes))

    def forward(self, batch: PairBatch, whole: Counts | None = None) -> tuple[Tensor, Metrics]:
        count = batch.counts.positions
        with self._views(batch):
            pairs = self.embed_pairs(batch)
        losses, scores = self._loss.score(pairs, 0, count)
        loss = losses.sum() / (whole or batch.counts).positions
        if not self.model.training:
            return loss, Metrics(count=count, parts=(pairs.to(torch.device("cpu")),))
        return loss, Metrics(float(losses.detach().sum()), int(find_hits(scores, 0).sum()), count)

    @contextmanager
    def _views(self, batch: PairBatch) -> Iterator[None]:
        """Within it an evaluation, too, has dropout where that makes the views of a text; the same each time."""
        if self.model.training or self._hyperparameters.positives != "dropout":
            yield
            return
        with torch.random.fork_rng():
            torch.manual_seed(_EVAL_SEED + int(batch.keys[0]) % 2**32)
            self.model.train()
            try:
                yield
            finally:
                self.model.eval()

    def add_gradients(self, batches: Sequence[PairBatch], whole: Counts, context: StepContext) -> Metrics:
        """Adds the gradients of the loss in which all pairs of the step are negatives of each other."""
        if len(batches) == 1 and context.size == 1:
            return super().add_gradients(batches, whole, context)
        return add_cached_gradients(self.embed_pairs, batches, self._loss, whole.positions, context)

    @torch.no_grad()
    def summarise(self, total: Metrics) -> dict[str, float]:
        """Returns loss and accuracy: of steps, of their batches; of evaluations, among all held-out pairs."""
        if not total.count:
            return {}
        if not total.parts:
            return {"loss": total.loss_sum / total.count, "accuracy": total.correct / total.count}
        return self._loss.measure(PairVectors.join(total.parts))

    def evaluate_beside(self) -> Mapping[str, float]:
        """Returns Spearman's correlation of cosines with the scores, for each size of embeddings."""
        if not self._scored:
            return {}
        vectors = []
        for start in range(0, len(self._scored), SCORED_AT_ONCE):
            some = self._scored[start : start + SCORED_AT_ONCE]
            texts = [each.first.tolist() for each in some] + [each.second.tolist() for each in some]
            vectors.append(self._embed(*self._collate(texts)).view(2, len(some), -1).cpu())
        first, second = torch.cat(vectors, dim=1)
        found = {"spearman": self._correlate(first, second)}
        for size in self._sizes:
            found[f"spearman_{size}"] = self._correlate(first[:, :size], second[:, :size])
        return found

    def baselines(self, training: Iterable[PairSample], held_out: Iterable[PairSample]) -> Mapping[str, float]:
        """Returns the metrics of TF-IDF. Views by dropout have none: both are the same text."""
        known = TermWeights(text for sample in training for text in sample.texts)
        found: dict[str, float] = {}
        samples = list(held_out)
        if self._hyperparameters.positives == "column" and samples:
            columns = _split_columns(samples)
            weights = known.weigh([text for column in columns for text, _ in column])
            if weights is not None:
                sizes, keys = list(map(len, columns)), torch.tensor([key for column in columns for _, key in column])
                compared = self._loss.measure(PairVectors(*torch.split(weights, sizes), *torch.split(keys, sizes)))
                found = {f"tfidf_{name}": compared[name] for name in ("loss", "accuracy")}
        if self._scored:
            weights = known.weigh([text for each in self._scored for text in (each.first, each.second)])
            if weights is not None:
                found["tfidf_spearman"] = self._correlate(weights[0::2], weights[1::2])
        return found

    def _correlate(self, first: Tensor, second: Tensor) -> float:
        scores = np.array([each.score for each in self._scored])
        return correlate_ranks(torch.cosine_similarity(first, second, dim=-1).numpy(), scores)


def _split_columns(samples: Sequence[PairSample]) -> list[list[tuple[Ids, int]]]:
    """Returns the texts with their keys: all anchors, all positives, and the negatives that there are."""
    return [[(s.texts[column], s.keys[column]) for s in samples if len(s.texts) > column] for column in range(3)]
