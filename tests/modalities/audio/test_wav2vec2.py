"""The objective of wav2vec 2.0 against transformers' own."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from transformers import Wav2Vec2ForPreTraining

from app.methods import Wav2Vec2Hyperparameters
from app.modalities.audio.units import contrast_units, quantize
from app.modalities.audio.wav2vec2 import (
    EVAL_NEGATIVES,
    MaskedWaveform,
    Wav2Vec2Objective,
    WaveformBatch,
    gumbel_temperature,
)
from app.modalities.audio.waveform_processor import WaveformProcessor
from app.modalities.trainable import Counts, Metrics
from tests.fakes.tiny_audio import samples
from tests.fakes.tiny_waveforms import RATE, tiny_wav2vec2_model

LENGTHS = (0.5, 0.5, 0.36, 0.5, 0.25)  # in seconds; crops of several lengths


def make_objective(fields: dict[str, Any] | None = None, **given: Any) -> Wav2Vec2Objective:
    processor = WaveformProcessor(RATE, normalises=True, least=400)
    hyperparameters = Wav2Vec2Hyperparameters(**{"crop_seconds": 0.5, "mask_time_length": 3, **given})
    return Wav2Vec2Objective(tiny_wav2vec2_model(**(fields or {})), processor, {}, hyperparameters)


def mask_sounds(objective: Wav2Vec2Objective, seconds: Sequence[float] = LENGTHS) -> list[MaskedWaveform]:
    sounds = [samples(seed, length, RATE) for seed, length in enumerate(seconds)]
    return [objective.mask_sample(sound, np.random.default_rng(seed)) for seed, sound in enumerate(sounds)]


def forward_of_transformers(model: Wav2Vec2ForPreTraining, masked: Sequence[MaskedWaveform]) -> Any:
    """The output of transformers for sounds of one length; its distractors are numbers of all frames of the batch."""
    mask = np.stack([each.mask for each in masked])
    negatives = np.zeros((*mask.shape, masked[0].negatives.shape[1]), np.int64)
    for row, each in enumerate(masked):
        negatives[row, each.mask] = np.flatnonzero(each.mask)[each.negatives] + row * mask.shape[1]
    return model(
        torch.from_numpy(np.stack([each.samples for each in masked])),
        mask_time_indices=torch.from_numpy(mask),
        sampled_negative_indices=torch.from_numpy(negatives),
    )


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True},
        {"apply_spec_augment": False, "mask_feature_prob": 0.5},
        {"num_codevectors_per_group": 2, "num_codevector_groups": 1},  # many distractors are the unit itself
    ],
)
def test_the_loss_is_that_of_transformers(fields: dict[str, Any]) -> None:
    objective = make_objective(fields, num_negatives=7, diversity_weight=0.3)
    masked = mask_sounds(objective, (0.5, 0.5, 0.5))
    loss, metrics = objective.forward(objective.collate_masked(masked))
    objective.model.config.apply_spec_augment = True  # without it transformers masks nothing, and Cloze does
    expected = forward_of_transformers(objective.model, masked)
    count = sum(int(each.mask.sum()) for each in masked)
    assert metrics.count == count
    assert float(loss.detach()) * count == pytest.approx(float(expected.loss.detach()), rel=1e-5)
    assert metrics.loss_sum == pytest.approx(float(expected.contrastive_loss.detach()), rel=1e-5)
    summary = objective.summarise(metrics)
    assert summary["code_perplexity"] == pytest.approx(float(expected.codevector_perplexity), rel=1e-5)


def test_gradients_are_those_of_transformers() -> None:
    objective = make_objective(num_negatives=7)
    masked = mask_sounds(objective, (0.5, 0.5))
    count = sum(int(each.mask.sum()) for each in masked)
    (forward_of_transformers(objective.model, masked).loss / count).backward()
    expected = {name: p.grad.clone() for name, p in objective.model.named_parameters() if p.grad is not None}
    objective.model.zero_grad()
    objective.forward(objective.collate_masked(masked))[0].backward()
    found = {name: p.grad for name, p in objective.model.named_parameters() if p.grad is not None}
    assert expected.keys() == found.keys()
    assert all(torch.allclose(found[name], grad, atol=1e-6) for name, grad in expected.items())


def test_a_batch_of_several_lengths_is_the_sum_of_its_crops() -> None:
    objective = make_objective(num_negatives=7, diversity_weight=0.0)
    masked = mask_sounds(objective)
    batch = objective.collate_masked(masked)
    assert len(batch.groups) == 3
    alone = [objective.collate_masked([each]) for each in masked]
    together, total = objective.forward(batch)
    parts = [objective.forward(each, whole=batch.counts) for each in alone]
    assert float(together) == pytest.approx(sum(float(loss) for loss, _ in parts), rel=1e-5)
    summed = sum((metrics for _, metrics in parts), start=Metrics())
    assert (total.correct, total.count) == (summed.correct, summed.count)
    assert objective.summarise(total) == pytest.approx(objective.summarise(summed), rel=1e-5)
    assert (batch.tokens, batch.counts) == (sum(b.tokens for b in alone), Counts(total.count, len(masked)))


def test_training_adds_the_penalty_and_draws_units() -> None:
    fields = dict.fromkeys(("hidden_dropout", "attention_dropout", "activation_dropout", "layerdrop"), 0.0)
    plain, punished = (make_objective(fields, feature_penalty=weight) for weight in (0.0, 2.0))
    losses, summaries = [], []
    for objective in (plain, punished):
        objective.model.train()
        objective.start_step(0, 0.0)
        torch.manual_seed(1)
        loss, metrics = objective.forward(objective.collate_masked(mask_sounds(objective)))
        losses.append(float(loss.detach()))
        summaries.append(objective.summarise(metrics))
    assert summaries[0] == summaries[1]
    assert losses[1] - losses[0] == pytest.approx(2 * summaries[0]["feature_penalty"], rel=1e-4)
    parts = summaries[0]["loss"] + 0.1 * summaries[0]["diversity_loss"]
    assert losses[0] == pytest.approx(parts, rel=1e-5)
    assert summaries[0]["gumbel_temperature"] == pytest.approx(2.0)


def test_samples_are_functions_of_their_generator() -> None:
    objective, sound = make_objective(), samples(0, 2.0, RATE)

    def draw(seed: int, *, evaluate: bool = False) -> MaskedWaveform:
        return objective.mask_sample(sound, np.random.default_rng(seed), evaluate=evaluate)

    one, again, other = draw(3), draw(3), draw(4)
    assert np.array_equal(one.samples, again.samples) and np.array_equal(one.negatives, again.negatives)
    assert not np.array_equal(one.samples, other.samples)
    assert one.samples.mean() == pytest.approx(0, abs=1e-4) and one.samples.std() == pytest.approx(1, abs=1e-3)
    first, second = draw(3, evaluate=True), draw(4, evaluate=True)
    assert np.array_equal(first.samples, second.samples)  # evaluations read the beginning
    assert first.negatives.shape[1] == EVAL_NEGATIVES


def test_chance_counts_the_candidates_that_differ() -> None:
    """Four frames of three units; the second frame has the unit of the first."""
    codes = torch.tensor([[0, 1], [0, 1], [2, 0], [3, 3]])
    negatives = torch.tensor([[1, 2, 2], [2, 3, 3], [0, 1, 3], [0, 1, 2]])
    vectors = torch.eye(4)[[0, 0, 1, 2]]
    scores = contrast_units(vectors, vectors, codes, [negatives], 0.1)
    assert scores.correct == 4
    assert scores.chance_correct == pytest.approx(1 / 2 + 1 / 3 + 1 / 3 + 1 / 3)
    assert scores.chance_loss == pytest.approx(np.log(3) + 3 * np.log(4))
    same = contrast_units(torch.ones(4, 4), vectors, codes, [negatives], 0.1)
    assert same.correct == 0  # equal scores rank nothing first
    assert float(same.loss) == pytest.approx(same.chance_loss)


def test_units_are_those_of_the_quantizer_of_transformers() -> None:
    model = tiny_wav2vec2_model()
    features = torch.randn(11, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        vectors, perplexity = model.quantizer(features[None])
        units = quantize(model.quantizer, features, None)
        assert torch.allclose(units.vectors, vectors[0], atol=1e-6)
        assert float(units.perplexity) == pytest.approx(float(perplexity))
        model.quantizer.train()
        torch.manual_seed(5)
        vectors, perplexity = model.quantizer(features[None])
        torch.manual_seed(5)
        drawn = quantize(model.quantizer, features, model.quantizer.temperature)
        assert torch.allclose(drawn.vectors, vectors[0], atol=1e-6)
        assert float(drawn.perplexity) == pytest.approx(float(perplexity))
    assert not torch.equal(drawn.codes, units.codes)


def test_the_temperature_falls_to_its_minimum() -> None:
    hp = Wav2Vec2Hyperparameters()
    assert [gumbel_temperature(hp, 0, f) for f in (0.0, 0.35, 0.7, 1.0)] == pytest.approx([2.0, 1.0, 0.5, 0.5])
    paper = Wav2Vec2Hyperparameters(gumbel_temperature_decay=0.999995)
    temperatures = [gumbel_temperature(paper, step, 0.9) for step in (0, 100_000, 400_000)]
    assert temperatures == pytest.approx([2.0, 2 * 0.999995**100_000, 0.5])


def test_a_batch_moves_to_its_device() -> None:
    objective = make_objective()
    batch = objective.collate_masked(mask_sounds(objective))
    moved = batch.to(torch.device("cpu"))
    assert isinstance(moved, WaveformBatch) and moved.counts == batch.counts
