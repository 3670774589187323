"""wav2vec 2.0 as it is trained: the quantized units of masked frames are told from those of other masked frames.

The method and its losses are those of arXiv 2006.11477. Everything random about a sample (its crop, its mask and its
distractors) is drawn when it is masked, so that only dropout and the Gumbel noise are drawn in the forward pass.
"""

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import Wav2Vec2ForPreTraining

from app.methods import Wav2Vec2Hyperparameters
from app.modalities.audio.crops import Mask, Places, crop_length, draw_negatives, draw_spans, longest_crop
from app.modalities.audio.frames import ConvolutionFrames
from app.modalities.audio.units import Quantized, contrast_units, quantize
from app.modalities.audio.waveform import WaveformModel
from app.modalities.audio.waveform_processor import FILE, Floats, WaveformProcessor
from app.modalities.served_model import MaskedModel
from app.modalities.trainable import Counts, Metrics

# Of every evaluation, so that jobs can be compared. They are those of the paper.
EVAL_MASK_PROB, EVAL_MASK_LENGTH, EVAL_NEGATIVES = 0.65, 10, 100
DECAY_SHARE = 0.7  # of a run, after which the Gumbel temperature is at its minimum, as in the paper's 400,000 steps
_CODE = "code"  # prefix of the counts of a codebook's entries


@dataclass(frozen=True)
class MaskedWaveform:
    samples: Floats  # [S], normalized
    mask: Mask  # [T]
    negatives: Places  # [M, K] of the sample's M masked frames


@dataclass(frozen=True)
class WaveformGroup:
    """Crops of equal length."""

    samples: Tensor  # [B, S]
    mask: Tensor  # [B, T] bool


@dataclass(frozen=True)
class WaveformBatch:
    """A batch of crops. Masked frames are numbered through all groups, crop after crop."""

    groups: tuple[WaveformGroup, ...]
    negatives: tuple[Tensor, ...]  # of each crop: [M, K] numbers of its own masked frames
    counts: Counts  # masked frames, and crops
    tokens: int  # frames

    def to(self, device: torch.device) -> "WaveformBatch":
        groups = tuple(WaveformGroup(g.samples.to(device), g.mask.to(device)) for g in self.groups)
        return replace(self, groups=groups, negatives=tuple(each.to(device) for each in self.negatives))


@dataclass(frozen=True)
class EncodedFrames:
    """The N masked frames of a batch. `penalty`: sum over all frames of the mean square of the convolutions' output."""

    predicted: Tensor  # [N, D] of the transformer, projected
    features: Tensor  # [N, C] normalized output of the convolutions, which the quantizer reads
    penalty: Tensor


class Wav2Vec2Objective(WaveformModel, MaskedModel[Floats, MaskedWaveform, WaveformBatch]):
    """processor_config: the content of the model's preprocessor_config.json, which is saved as it is."""

    model: Wav2Vec2ForPreTraining

    def __init__(
        self,
        model: Wav2Vec2ForPreTraining,
        processor: WaveformProcessor,
        processor_config: Mapping[str, Any],
        hyperparameters: Wav2Vec2Hyperparameters,
    ) -> None:
        super().__init__(model, processor)
        self.frames = ConvolutionFrames.of_model(model.config.to_dict())
        self._processor_config, self._hp = processor_config, hyperparameters
        self.longest = longest_crop(hyperparameters.crop_seconds, processor.sample_rate, self.frames)
        model.config.num_negatives = hyperparameters.num_negatives
        model.config.diversity_loss_weight = hyperparameters.diversity_weight

    def mask_sample(
        self, sample: Floats, rng: np.random.Generator, *, evaluate: bool = False, fraction: float = 0.0
    ) -> MaskedWaveform:
        hp = self._hp
        prob, span, negatives = hp.mask_time_prob, hp.mask_time_length, hp.num_negatives
        if evaluate:
            prob, span, negatives = EVAL_MASK_PROB, EVAL_MASK_LENGTH, EVAL_NEGATIVES
        length = crop_length(len(sample), self.longest)
        start = 0 if evaluate else int(rng.integers(len(sample) - length + 1))
        mask = draw_spans(self.frames.count(length), prob, span, rng)
        samples = self.processor.normalise(np.asarray(sample[start : start + length], np.float32))
        return MaskedWaveform(samples, mask, draw_negatives(int(mask.sum()), negatives, rng))

    def collate_masked(self, samples: Sequence[MaskedWaveform]) -> WaveformBatch:
        ordered = sorted(samples, key=lambda s: len(s.samples), reverse=True)
        groups = []
        for length in sorted({len(s.samples) for s in ordered}, reverse=True):
            alike = [s for s in ordered if len(s.samples) == length]
            waves, masks = np.stack([s.samples for s in alike]), np.stack([s.mask for s in alike])
            groups.append(WaveformGroup(torch.from_numpy(waves), torch.from_numpy(masks)))
        return WaveformBatch(
            tuple(groups),
            tuple(torch.from_numpy(s.negatives) for s in ordered),
            Counts(sum(len(s.negatives) for s in ordered), len(ordered)),
            sum(len(s.mask) for s in ordered),
        )

    def start_step(self, step: int, fraction: float) -> None:
        self.model.set_gumbel_temperature(gumbel_temperature(self._hp, step, fraction))  # type: ignore[arg-type]

    def forward(self, batch: WaveformBatch, whole: Counts | None = None) -> tuple[Tensor, Metrics]:
        """The loss in training mode is contrastive loss + diversity_weight × diversity + feature_penalty × penalty.

        In evaluation mode the quantizer takes the likeliest entries, and there is no penalty.
        """
        positions = (whole or batch.counts).positions
        frames = self._encode(batch)
        temperature = self.model.quantizer.temperature if self.model.training else None
        units = quantize(self.model.quantizer, frames.features, temperature)
        scores = contrast_units(
            frames.predicted,
            self.model.project_q(units.vectors),
            units.codes,
            batch.negatives,
            self.model.config.contrastive_logits_temperature,
        )
        count = batch.counts.positions
        loss = scores.loss + self._hp.diversity_weight * count * units.diversity_loss
        metrics = Metrics(float(scores.loss.detach()), scores.correct, count)
        if not self.model.training:
            extra = {"chance_loss": scores.chance_loss, "chance_accuracy": scores.chance_correct}
            return loss / positions, metrics + Metrics(extra=extra | _count_codes(units))
        penalty = frames.penalty * (count / batch.tokens)  # its mean over frames counts as often as the other losses
        extra = {
            "diversity_loss": count * float(units.diversity_loss.detach()),
            "feature_penalty": float(penalty.detach()),
            "code_perplexity": count * float(units.perplexity.detach()),
            "gumbel_temperature": count * float(temperature or 0.0),
        }
        return (loss + self._hp.feature_penalty * penalty) / positions, metrics + Metrics(extra=extra)

    def summarise(self, total: Metrics) -> dict[str, float]:
        """Means over the masked frames. The perplexity of an evaluation is that of the entries of all its frames."""
        if not total.count:
            return {}
        sums = {name: value for name, value in total.extra.items() if not name.startswith(_CODE + " ")}
        means = {name: value / total.count for name, value in sums.items()}
        codes = {name: value for name, value in total.extra.items() if name not in sums}
        perplexity = {"code_perplexity": _perplexity(codes, total.count)} if codes else {}
        return {"loss": total.loss_sum / total.count, "accuracy": total.correct / total.count} | means | perplexity

    def save(self, folder: Path, dtype: torch.dtype) -> None:
        exported = copy.deepcopy(self.model)
        nn.Module.to(exported, "cpu", dtype)
        exported.save_pretrained(folder)
        (folder / FILE).write_text(json.dumps(self._processor_config, indent=2) + "\n", encoding="utf-8")

    def _encode(self, batch: WaveformBatch) -> EncodedFrames:
        encoder = self.model.wav2vec2
        states, features, penalty = [], [], torch.zeros((), device=batch.negatives[0].device)
        for group in batch.groups:
            convolved = encoder.feature_extractor(group.samples).transpose(1, 2)  # [B, T, C]
            projected, normalized = encoder.feature_projection(convolved)
            # Not by the encoder's own forward: it would also mask features, at random, where the configuration says so.
            masked = torch.where(group.mask.unsqueeze(-1), encoder.masked_spec_embed.to(projected.dtype), projected)
            states.append(encoder.encoder(masked).last_hidden_state[group.mask])
            features.append(self.model.dropout_features(normalized)[group.mask])
            penalty = penalty + convolved.float().square().mean(-1).sum()
        return EncodedFrames(self.model.project_hid(torch.cat(states)), torch.cat(features), penalty)


def gumbel_temperature(hp: Wav2Vec2Hyperparameters, step: int, fraction: float) -> float:
    """Returns the temperature after `step` steps, which are the share `fraction` of the run."""
    if hp.gumbel_temperature_decay is not None:
        return max(hp.gumbel_temperature_min, hp.gumbel_temperature * hp.gumbel_temperature_decay**step)
    progress = min(1.0, fraction / DECAY_SHARE)
    return float(hp.gumbel_temperature * (hp.gumbel_temperature_min / hp.gumbel_temperature) ** progress)


def _count_codes(units: Quantized) -> dict[str, float]:
    """Counts how often each entry of each codebook is used."""
    found: dict[str, float] = {}
    for book, codes in enumerate(units.codes.T):
        entries, times = codes.unique(return_counts=True)
        found |= {f"{_CODE} {book} {e}": float(n) for e, n in zip(entries.tolist(), times.tolist(), strict=True)}
    return found


def _perplexity(counts: Mapping[str, float], frames: int) -> float:
    """The sum over the codebooks of exp(entropy of their entries), as in transformers."""
    books: dict[str, float] = {}
    for name, times in counts.items():
        book, share = name.rpartition(" ")[0], times / frames
        books[book] = books.get(book, 0.0) - share * float(np.log(share))
    return float(sum(np.exp(entropy) for entropy in books.values()))
