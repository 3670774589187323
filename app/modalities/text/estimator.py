"""Estimates of jobs on text."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.datasets.sampling import DocumentSample
from app.errors import InvalidData
from app.methods import MlmHyperparameters, preset
from app.methods.tokenizers import TokenizerReport
from app.modalities.estimator import CheckedFiles, Cost, DataAmount, FindFolder, Layers, stored_config
from app.modalities.text.new_tokenizers.round_trip import report_losses, sample_texts, try_tokenizer
from app.modalities.text.tokenizers import read_tokenizer
from app.modalities.text.unknown import advise, find_unknown

# Bytes of English a token, by the binary logarithm of a new tokenizer's size: measured on Wikipedia.
_SIZES, _BYTES_A_TOKEN = (9.0, 11.0, 13.0, 14.0, 15.0), (2.0, 2.9, 3.85, 4.3, 4.6)
_POSITIONS = 512  # of a preset
_LEARNT = ("wordpiece", "bpe", "unigram")  # kinds of tokenizers whose tokens depend on the amount of text


@dataclass(frozen=True)
class Shape:
    """The shape of a transformer encoder with a masked-language-modelling head."""

    body: Layers
    vocabulary: int

    @property
    def parameters(self) -> int:
        positions = 0 if self.body.gated else _POSITIONS + 2
        hidden_size = self.body.hidden_size
        return self.body.parameters + (self.vocabulary + positions) * hidden_size + hidden_size**2 + self.vocabulary

    def cost(self, hp: MlmHyperparameters) -> Cost:
        rate = hp.masking_rate or 0.3
        head = (
            (rate + (hp.final_masking_rate or rate))
            / 2
            * (self.body.hidden_size * self.vocabulary + self.body.hidden_size**2)
        )
        return Cost(
            parameters=self.parameters,
            flops=self.body.flops(hp.sequence_length) + 6 * head,
            activations=self.body.activations(hp.sequence_length),
            step_tokens=hp.batch_tokens,
        )


class TextEstimator:
    def amount(
        self, model: str, hyperparameters: MlmHyperparameters, files: CheckedFiles[DocumentSample], find: FindFolder
    ) -> DataAmount:
        hp = hyperparameters
        ratio, report = _bytes_a_token(model, hp, files.samples, find)
        documents, tokens = _totals(files.samples, ratio)
        epoch = sum(t * w for t, w in zip(tokens, files.weights, strict=True))
        found = DataAmount(
            documents=round(sum(documents)),
            tokens=round(sum(tokens)),
            sampled=not all(s.whole for s in files.samples),
            epoch_tokens=epoch if files.held_out is not None else epoch * (1 - hp.validation_fraction),
            shard_bytes=_shard_bytes(shape_of(model, hp, find), *_totals(files.files, ratio)),
            tokenizer=report,
            read_as=_count_layouts(files.samples),
        )
        _check_enough(found, hp, held_out=files.held_out is not None)
        return found

    def cost(self, model: str, hyperparameters: MlmHyperparameters, find: FindFolder) -> Cost | None:
        shape = shape_of(model, hyperparameters, find)
        return None if shape is None else shape.cost(hyperparameters)


def _totals(samples: Sequence[DocumentSample], ratio: float) -> tuple[list[float], list[float]]:
    """(documents, tokens) of each file"""
    return [s.documents / s.share for s in samples], [s.bytes / s.share / ratio for s in samples]


def _count_layouts(samples: Sequence[DocumentSample]) -> Mapping[str, int]:
    """Counts the files of all samples by what one document of them is."""
    found: Counter[str] = Counter()
    for sample in samples:
        found.update({str(layout): count for layout, count in sample.report.layouts.items()})
    return found


def _check_enough(known: DataAmount, hp: MlmHyperparameters, *, held_out: bool) -> None:
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


def shape_of(model: str, hp: MlmHyperparameters, find: FindFolder) -> Shape | None:
    """Returns the shape of a preset or of a stored model. None if the model's configuration lacks a size."""
    found = preset(model)
    if found is not None:
        base = stored_config(find(hp.tokenizer_model)) if hp.tokenizer_model else {}
        config: Mapping[str, Any] = {"vocab_size": base.get("vocab_size", hp.vocab_size), **found}
    else:
        config = stored_config(find(model))
    return shape_of_config(config)


def shape_of_config(config: Mapping[str, Any]) -> Shape | None:
    """Returns the shape that a configuration describes. None if it lacks a size."""
    hidden_size = config.get("hidden_size", config.get("dim"))
    layers = config.get("num_hidden_layers", config.get("n_layers"))
    if not (isinstance(hidden_size, int) and isinstance(layers, int) and isinstance(config.get("vocab_size"), int)):
        return None
    body = Layers(
        count=layers,
        hidden_size=hidden_size,
        intermediate=config.get("intermediate_size", config.get("hidden_dim", 4 * hidden_size)),
        heads=config.get("num_attention_heads", config.get("n_heads", max(1, hidden_size // 64))),
        gated=config.get("model_type") == "modernbert",
    )
    return Shape(body, config["vocab_size"])


def _bytes_a_token(
    model: str, hp: MlmHyperparameters, samples: Sequence[DocumentSample], find: FindFolder
) -> tuple[float, TokenizerReport | None]:
    """Returns (bytes a token, a trial of the tokenizer). Raises InvalidData if a stored one cannot write the text."""
    stored = preset(model) is None
    owner = model if stored else hp.tokenizer_model
    texts = sample_texts(samples)
    if owner is None:
        report = try_tokenizer(hp, texts)[1]
        if report.type in _LEARNT:  # more text makes longer tokens
            return float(np.interp(math.log2(hp.vocab_size), _SIZES, _BYTES_A_TOKEN)), report
    else:
        stored_tokenizer = read_tokenizer(find(owner))
        if stored_tokenizer is None:
            return float(np.interp(math.log2(hp.vocab_size), _SIZES, _BYTES_A_TOKEN)), None
        if all(map(_is_complete, samples)):  # of a longer file, the beginning may be unlike the rest
            every = [text for s in samples for text in s.texts[: max(1, len(s.texts) // len(samples))]]
            find_unknown(stored_tokenizer, every).check(advise(stored, hp), "training_file")
        report = report_losses(stored_tokenizer, texts, "base", f"the tokenizer of {owner}")
    if not report.tokens:
        return _BYTES_A_TOKEN[-1], report
    return sum(len(t.encode(errors="surrogatepass")) for t in texts) / report.tokens, report


def _is_complete(sample: DocumentSample) -> bool:
    """Whether the sample's texts are all of the file's."""
    return sample.whole and sum(len(text.encode(errors="surrogatepass")) for text in sample.texts) == sample.bytes


def _shard_bytes(shape: Shape | None, documents: Sequence[float], tokens: Sequence[float]) -> float:
    width = 2 if shape is None or shape.vocabulary <= 1 << 16 else 4
    return sum(tokens) * width + sum(documents) * 24
