"""What a job will take, judged from the beginning of its files and its model's configuration."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from app.errors import InvalidData, ModelNotFound
from app.jobs.queue import JobStore
from app.jobs.spec import Estimate, Job, JobState
from app.media.sampling import DocumentSample
from app.objectives.text.tokenizers import count_tokens
from app.recipes import MlmHyperparameters, preset
from app.store.store import ModelStore
from app.types import Modality

# Bytes of English a token, by the binary logarithm of a new tokenizer's size: measured on Wikipedia.
_SIZES, _BYTES_A_TOKEN = (9.0, 11.0, 13.0, 14.0, 15.0), (2.0, 2.9, 3.85, 4.3, 4.6)
_RECENT = 50  # jobs among which a finished one is looked for
_POSITIONS = 512  # of a preset
_PROCESS_BYTES = 450_000_000  # of a process that has loaded torch and transformers
_FLOAT = 4


@dataclass(frozen=True)
class Shape:
    """Of a transformer encoder with a masked-language-modelling head."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    vocabulary: int
    gated: bool  # two projections into the feed-forward layer, as ModernBERT has them

    @property
    def body(self) -> int:
        """Parameters that every token is multiplied with."""
        return self.layers * (4 * self.hidden**2 + (3 if self.gated else 2) * self.hidden * self.intermediate)

    @property
    def parameters(self) -> int:
        positions = 0 if self.gated else _POSITIONS + 2
        return self.body + (self.vocabulary + positions) * self.hidden + self.hidden**2 + self.vocabulary

    def flops(self, sequence_length: int, masking_rate: float) -> float:
        """Floating-point operations a token: forward 2 a parameter, backward twice that (arXiv 2001.08361)."""
        head = masking_rate * (self.hidden * self.vocabulary + self.hidden**2)
        return 6 * (self.body + head) + 12 * self.layers * self.hidden * sequence_length

    def activations(self, sequence_length: int) -> int:
        """Numbers that a token's forward pass keeps for the backward one, after arXiv 2205.05198."""
        feed_forward = (4 if self.gated else 2) * self.intermediate
        return self.layers * (10 * self.hidden + feed_forward + 3 * self.heads * sequence_length)


class Material(NamedTuple):
    """A job's files as they were looked at."""

    samples: Sequence[DocumentSample]  # of each training file
    weights: Sequence[float]
    held_out: bool  # a validation file is given


def estimate_text(
    model: str, hp: MlmHyperparameters, material: Material, store: ModelStore, recent: Sequence[Job]
) -> Estimate:
    """recent: jobs, latest first, of which one that has finished tells how fast this will be.

    Raises InvalidData where it is plain that there is too little text.
    """
    samples = material.samples
    ratio = _bytes_a_token(model, hp, samples, store)
    documents = [s.documents / s.share for s in samples]
    tokens = [s.bytes / s.share / ratio for s in samples]
    epoch = sum(t * w for t, w in zip(tokens, material.weights, strict=True))
    if not material.held_out:
        epoch *= 1 - hp.validation_fraction
    known = Estimate(
        documents=round(sum(documents)), tokens=round(sum(tokens)), sampled=not all(s.whole for s in samples)
    )
    _check_enough(known, hp, held_out=material.held_out)
    shape = shape_of(model, hp, store)
    if shape is None:
        return known
    speed = _speed(shape, hp, store, recent)
    trained = _training_tokens(hp, epoch, speed)
    limit = hp.max_minutes * 60 if hp.max_minutes else math.inf
    seconds = min(limit, trained / speed) if trained is not None and speed else limit
    return known.model_copy(
        update={
            "training_tokens": None if trained is None else round(trained),
            "seconds": round(seconds, 3) if math.isfinite(seconds) else None,
            "memory_bytes": _memory(shape, hp),
            "disk_bytes": _disk(shape, hp, sum(tokens), sum(documents)),
        }
    )


def _check_enough(known: Estimate, hp: MlmHyperparameters, *, held_out: bool) -> None:
    """There must be something to train on and, unless it has a file of its own, something to hold out."""
    if known.sampled:
        return
    if not known.documents:
        raise InvalidData("no document is as long as min_characters and max_characters ask", param="training_file")
    if known.documents == 1 and not held_out and (known.tokens or 0) < hp.sequence_length / 2:
        raise InvalidData(
            f"one document of about {known.tokens} tokens is too little text: there must be some to train on"
            " and some to hold out",
            param="training_file",
        )


def recent_jobs(jobs: JobStore) -> list[Job]:
    return jobs.list(limit=_RECENT)[0]


def shape_of(model: str, hp: MlmHyperparameters, store: ModelStore) -> Shape | None:
    """A preset's, or that of a stored model's configuration; None where it says too little."""
    found = preset(model)
    if found is not None:
        base = _config(store, hp.tokenizer_model) if hp.tokenizer_model else {}
        config: Mapping[str, Any] = {"vocab_size": base.get("vocab_size", hp.vocab_size), **found}
    else:
        config = _config(store, model)
    hidden = config.get("hidden_size", config.get("dim"))
    layers = config.get("num_hidden_layers", config.get("n_layers"))
    if not (isinstance(hidden, int) and isinstance(layers, int) and isinstance(config.get("vocab_size"), int)):
        return None
    return Shape(
        layers=layers,
        hidden=hidden,
        intermediate=config.get("intermediate_size", config.get("hidden_dim", 4 * hidden)),
        heads=config.get("num_attention_heads", config.get("n_heads", max(1, hidden // 64))),
        vocabulary=config["vocab_size"],
        gated=config.get("model_type") == "modernbert",
    )


def _config(store: ModelStore, model: str) -> dict[str, Any]:
    file: Path = store.resolve(model).path / "config.json"
    found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return found if isinstance(found, dict) else {}


def _bytes_a_token(model: str, hp: MlmHyperparameters, samples: Sequence[DocumentSample], store: ModelStore) -> float:
    texts = [text for s in samples for text in s.texts[: max(1, len(s.texts) // len(samples))]]
    owner = hp.tokenizer_model if preset(model) is not None else model
    tokens = count_tokens(store.resolve(owner).path, texts) if owner else None
    if tokens:
        return sum(len(t.encode(errors="surrogatepass")) for t in texts) / tokens
    return float(np.interp(math.log2(hp.vocab_size), _SIZES, _BYTES_A_TOKEN))


def _speed(shape: Shape, hp: MlmHyperparameters, store: ModelStore, recent: Sequence[Job]) -> float | None:
    """Tokens a second, if this job does as many operations a second as the last one that finished."""
    for job in recent:
        done = job.progress.tokens_per_second
        if job.state is JobState.SUCCEEDED and done and job.spec.method == "mlm":
            theirs = MlmHyperparameters.model_validate(job.spec.hyperparameters)
            try:
                other = shape_of(job.spec.model, theirs, store)
            except ModelNotFound:
                continue
            if other is not None:
                return done * _flops(other, theirs) / _flops(shape, hp)
    return None


def _flops(shape: Shape, hp: MlmHyperparameters) -> float:
    return shape.flops(hp.sequence_length, hp.masking_rate or 0.3)


def _training_tokens(hp: MlmHyperparameters, epoch: float, speed: float | None) -> float | None:
    """None where minutes alone end the run, and nothing is known of the speed."""
    limits = [
        hp.max_steps * hp.batch_tokens if hp.max_steps else None,
        hp.epochs * epoch if hp.epochs else None,
        hp.max_tokens,
    ]
    found = [limit for limit in limits if limit]
    if hp.max_minutes and speed:
        found.append(hp.max_minutes * 60 * speed)
    return min(found) if found else (None if hp.max_minutes else epoch)


def _memory(shape: Shape, hp: MlmHyperparameters) -> int:
    state = 4 * shape.parameters * _FLOAT  # weights, gradients and AdamW's two moments
    micro = hp.batch_tokens // (hp.gradient_accumulation_steps * hp.processes)
    return hp.processes * (_PROCESS_BYTES + state + micro * shape.activations(hp.sequence_length) * _FLOAT)


def _disk(shape: Shape, hp: MlmHyperparameters, tokens: float, documents: float) -> int:
    width = 2 if shape.vocabulary <= 1 << 16 else 4
    shards = tokens * width + documents * 24
    checkpoints = hp.most_checkpoints * 3 * shape.parameters * _FLOAT
    results = 2 * shape.parameters * (_FLOAT if hp.export_dtype == "float32" else 2)  # the export and its publication
    return round(shards + checkpoints + results)


# What a modality's jobs take. One without a line has jobs without an estimate.
ESTIMATORS: dict[Modality, Callable[[str, Any, Material, ModelStore, Sequence[Job]], Estimate]] = {
    Modality.TEXT: estimate_text
}
