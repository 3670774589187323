"""The contrastive objective: its loss, duplicates, gradient caching, and measures."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from app.errors import InvalidValue
from app.methods import ContrastiveHyperparameters
from app.modalities.embedding import EmbedItem
from app.modalities.text.contrastive import ContrastiveText, PairSample, ScoredTexts
from app.modalities.text.contrastive_loss import ContrastiveLoss, PairVectors
from app.modalities.text.load import load_text
from app.modalities.text.pipeline import Dense
from app.modalities.text.rank_correlation import correlate_ranks
from app.modalities.text.term_weights import TermWeights
from app.modalities.trainable import Counts, StepContext
from app.types import Task
from tests.fakes.perform import perform
from tests.fakes.tiny_models import CORPUS, tiny_text_folder

CPU = torch.device("cpu")
WORDS = sorted({word for line in CORPUS for word in line.split()})
TEXTS = [f"{a} {b}" for a in WORDS[:12] for b in WORDS[20:22]]


def build(folder: Path, architecture: str = "bert", scored: Any = (), **given: Any) -> ContrastiveText:
    text = load_text(tiny_text_folder(folder, architecture), keep_head=False)
    return ContrastiveText(text, ContrastiveHyperparameters(sequence_length=32, **given), scored)


def ids(objective: ContrastiveText, text: str) -> np.ndarray:
    return np.array(objective.text.tokenizer(text)["input_ids"], np.int64)


def samples(objective: ContrastiveText, count: int = 12, *, negatives: bool = True) -> list[PairSample]:
    """Pairs of texts of different lengths; every second one has a hard negative."""
    found = []
    for number in range(count):
        texts = [TEXTS[number], TEXTS[number] + " again and again" * (number % 3)]
        texts[1] += " then"
        if negatives and number % 2:
            texts.append(TEXTS[-1 - number])
        found.append(PairSample(tuple(ids(objective, text) for text in texts), tuple(map(hash, texts))))
    return found


def context(rank: int = 0, gathered: list[PairVectors] | None = None) -> StepContext:
    size = 1 if gathered is None else len(gathered)
    return StepContext(CPU, rank, size, nullcontext, lambda value: [value] if gathered is None else gathered)


def gradients(objective: ContrastiveText, size: int, **given: Any) -> tuple[dict[str, Tensor], float]:
    """Returns the gradients of one step in micro-batches of `size`, and its loss."""
    pairs = samples(objective)
    batches = [objective.collate_masked(pairs[at : at + size]) for at in range(0, len(pairs), size)]
    objective.model.zero_grad()
    torch.manual_seed(1)
    metrics = objective.add_gradients(batches, Counts(len(pairs), len(pairs)), context(**given))
    found = {name: p.grad.clone() for name, p in objective.model.named_parameters() if p.grad is not None}
    return found, metrics.loss_sum / metrics.count


def largest_difference(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    assert a.keys() == b.keys() and len(a) > 10
    return max(float((a[name] - b[name]).abs().max()) for name in a)


@pytest.mark.parametrize("architecture", ["bert", "modernbert", "electra"])
@pytest.mark.parametrize("given", [{}, {"symmetric": True, "matryoshka_dimensions": "16,8"}])
def test_cached_gradients_equal_those_of_the_whole_batch(
    tmp_path: Path, architecture: str, given: dict[str, Any]
) -> None:
    objective = build(tmp_path / "model", architecture, dropout=0.0, **given)
    objective.model.train()
    whole, loss = gradients(objective, 12)
    assert max(float(each.abs().max()) for each in whole.values()) > 1e-3
    for size in (1, 3, 5):
        cached, same = gradients(objective, size)
        assert largest_difference(whole, cached) < 1e-5
        assert same == pytest.approx(loss, abs=1e-5)


def test_both_passes_of_cached_gradients_draw_the_same_dropout(tmp_path: Path) -> None:
    """The reference keeps the activations of all micro-batches, with the same seeds."""
    objective = build(tmp_path / "model", dropout=0.3)
    objective.model.train()
    cached, _ = gradients(objective, 4)
    pairs = samples(objective)
    torch.manual_seed(1)
    seeds = torch.randint(2**62, (3,)).tolist()
    objective.model.zero_grad()
    parts = []
    for at, seed in zip(range(0, 12, 4), seeds, strict=True):
        torch.manual_seed(seed)
        parts.append(objective.embed_pairs(objective.collate_masked(pairs[at : at + 4])))
    ContrastiveLoss(20.0).score(PairVectors.join(parts), 0, 12)[0].mean().backward()
    plain = {name: p.grad for name, p in objective.model.named_parameters() if p.grad is not None}
    assert largest_difference(plain, cached) < 1e-5


def test_processes_add_up_to_the_gradients_of_one(tmp_path: Path) -> None:
    objective = build(tmp_path / "model", dropout=0.0)
    objective.model.train()
    whole, loss = gradients(objective, 12)
    shares = [samples(objective)[:7], samples(objective)[7:]]
    with torch.no_grad():
        vectors = [objective.embed_pairs(objective.collate_masked(share)) for share in shares]
    objective.model.zero_grad()
    total = 0.0
    for rank, share in enumerate(shares):
        batches = [objective.collate_masked(share[at : at + 4]) for at in range(0, len(share), 4)]
        total += objective.add_gradients(batches, Counts(12, 12), context(rank, vectors)).loss_sum
    found = {name: p.grad for name, p in objective.model.named_parameters() if p.grad is not None}
    assert largest_difference(whole, found) < 1e-5
    assert total / 12 == pytest.approx(loss, abs=1e-5)


def vectors(anchors: list[int], positives: list[int], negatives: list[int] | None = None) -> PairVectors:
    """Pairs of random vectors. The numbers stand for their texts."""
    known = torch.randn(20, 8, generator=torch.Generator().manual_seed(0))
    keys = [torch.tensor(each, dtype=torch.int64) for each in (anchors, positives, negatives or [])]
    return PairVectors(*(known[each] for each in keys), *keys)


def test_the_loss_is_cross_entropy_over_scaled_cosines() -> None:
    pairs = vectors([0, 1, 2], [3, 4, 5], [6, 7])
    losses, _ = ContrastiveLoss(20.0).score(pairs, 0, 3)
    candidates = F.normalize(torch.cat([pairs.positives, pairs.negatives]))
    scores = F.normalize(pairs.anchors) @ candidates.T * 20
    torch.testing.assert_close(losses.mean(), F.cross_entropy(scores, torch.arange(3)))
    both, _ = ContrastiveLoss(20.0, symmetric=True).score(pairs, 0, 3)
    backward = F.cross_entropy(scores[:, :3].T, torch.arange(3))
    torch.testing.assert_close(both.mean(), (losses.mean() + backward) / 2)
    cut, _ = ContrastiveLoss(20.0, sizes=(4,)).score(pairs, 0, 3)
    small, _ = ContrastiveLoss(20.0).score(pairs.cut(4), 0, 3)
    torch.testing.assert_close(cut, (losses + small) / 2)


@pytest.mark.parametrize(
    ("pairs", "other"),
    [
        (vectors([0, 1, 2], [3, 4, 3]), vectors([0, 1], [3, 4])),  # the same positive
        (vectors([0, 1, 0], [3, 4, 5]), vectors([0, 1], [3, 4])),  # the same anchor
        (vectors([0, 1, 2], [3, 4, 0]), vectors([0, 1], [3, 4])),  # a positive that is the anchor
        (vectors([0, 1], [3, 4], [3, 0]), vectors([0, 1], [3, 4])),  # hard negatives that are the pair's own texts
    ],
)
def test_equal_texts_are_no_negatives(pairs: PairVectors, other: PairVectors) -> None:
    loss = ContrastiveLoss(20.0)
    torch.testing.assert_close(loss.score(pairs, 0, 1)[0], loss.score(other, 0, 1)[0])


def test_a_pair_without_any_negative_costs_nothing() -> None:
    losses, _ = ContrastiveLoss(20.0, symmetric=True).score(vectors([0, 0], [1, 1]), 0, 2)
    assert losses.tolist() == [0.0, 0.0]


def test_vectors_are_those_that_are_served(tmp_path: Path) -> None:
    objective = build(tmp_path / "model")
    pairs = samples(objective, 3, negatives=False)
    with torch.no_grad():
        found = objective.embed_pairs(objective.collate_masked(pairs))
    served = perform(objective.text.tasks[Task.EMBED], [EmbedItem(TEXTS[number]) for number in range(3)])
    for own, other in zip(F.normalize(found.anchors), served, strict=True):
        np.testing.assert_allclose(own.numpy(), other.vector, atol=1e-5)


def test_pooling_and_head_compute_in_float32_whatever_the_precision(tmp_path: Path) -> None:
    plain = build(tmp_path / "model")
    width = plain.text.dimensions
    head = torch.nn.Sequential(Dense(torch.nn.Linear(width, width), torch.nn.Tanh()))
    plain.text.pipeline = replace(plain.text.pipeline, head=head)
    pair = ids(plain, TEXTS[0]), ids(plain, TEXTS[3])
    scored = [ScoredTexts(*pair, 1.0), ScoredTexts(*pair[::-1], 2.0)]
    objective = ContrastiveText(plain.text, ContrastiveHyperparameters(), scored)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        found = objective.embed_pairs(objective.collate_masked(samples(objective, 2)))
        assert "spearman" in objective.evaluate_beside()
    assert found.stacked.dtype == torch.float32
    assert not torch.equal(found.stacked, found.stacked.bfloat16().float())


def test_views_by_dropout_differ_and_evaluations_repeat(tmp_path: Path) -> None:
    objective = build(tmp_path / "model", positives="dropout")
    pairs = [PairSample((ids(objective, text),) * 2, (number,) * 2) for number, text in enumerate(TEXTS[:8])]
    batch = objective.collate_masked(pairs)
    objective.model.eval()
    state = torch.get_rng_state()
    first, again = (objective.forward(batch)[1].parts[0] for _ in range(2))
    assert torch.equal(state, torch.get_rng_state()) and not objective.model.training
    assert torch.equal(first.anchors, again.anchors)
    assert not torch.allclose(first.anchors, first.positives)
    assert objective.baselines(pairs, pairs) == {}


def test_views_by_dropout_need_dropout(tmp_path: Path) -> None:
    assert build(tmp_path / "model", dropout=0.0).describe_choices()["dropout"] == 0.0
    assert build(tmp_path / "none", "modernbert", positives="dropout").describe_choices()["dropout"] == 0.1
    with pytest.raises(ValueError, match="both views"):
        ContrastiveHyperparameters(positives="dropout", dropout=0.0)


def test_sizes_beyond_the_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="fewer than 4096") as error:
        build(tmp_path / "model", matryoshka_dimensions="4096,8")
    assert error.value.param == "matryoshka_dimensions"


def test_scores_are_correlated_with_cosines(tmp_path: Path) -> None:
    plain = build(tmp_path / "model")
    pairs = [(ids(plain, TEXTS[n]), ids(plain, TEXTS[n + 3])) for n in range(8)]
    served = [perform(plain.text.tasks[Task.EMBED], [EmbedItem(TEXTS[n]), EmbedItem(TEXTS[n + 3])]) for n in range(8)]
    cosines = [float(a.vector @ b.vector) for a, b in served]
    scored = [ScoredTexts(*pair, cosine) for pair, cosine in zip(pairs, cosines, strict=True)]
    objective = ContrastiveText(plain.text, ContrastiveHyperparameters(matryoshka_dimensions=[16, 8]), scored)
    matryoshka = objective.text.pipeline.matryoshka
    assert matryoshka is not None and matryoshka.sizes == (plain.text.dimensions, 16, 8)
    with torch.no_grad():
        found = objective.evaluate_beside()
    assert found["spearman"] == pytest.approx(1.0)
    assert set(found) == {"spearman", "spearman_16", "spearman_8"}
    assert (objective.measure, objective.lower_is_better) == ("spearman", False)
    assert "tfidf_spearman" in objective.baselines(samples(objective), samples(objective))


def test_ranks_of_equal_values_are_their_mean() -> None:
    first, second = np.array([1.0, 2.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0, 4.0])
    assert correlate_ranks(first, second) == pytest.approx(0.9486832980505138)  # of scipy.stats.spearmanr
    assert correlate_ranks(first, -first) == pytest.approx(-1.0)
    assert correlate_ranks(first, np.ones(4)) == 0.0


def test_term_weights_find_equal_texts() -> None:
    texts = [np.array(each) for each in ([1, 2, 3], [1, 4, 5], [1, 6, 7])]
    weights = TermWeights(texts).weigh(texts)
    assert weights is not None
    assert (weights[0] > 0).sum() == 3
    assert weights[0].min() == 0 and weights[0, 0] < weights[0, 1]  # a token of every text tells little


def test_the_loss_is_computed_in_float32_whatever_the_precision() -> None:
    pairs = vectors([0, 1, 2], [3, 4, 5])
    plain, _ = ContrastiveLoss(20.0).score(pairs, 0, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed, _ = ContrastiveLoss(20.0).score(pairs, 0, 3)
    assert torch.equal(plain, mixed)
