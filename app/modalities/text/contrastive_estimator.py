"""Estimates of contrastive training."""

from collections.abc import Sequence

from app.datasets.pairs import ScoredSample
from app.datasets.sampling import DocumentSample
from app.errors import InvalidData
from app.methods import ContrastiveHyperparameters
from app.methods.contrastive import DEFAULT_LENGTH
from app.modalities.estimator import CheckedFiles, Cost, DataAmount, FindFolder, stored_config
from app.modalities.text.estimator import shape_of_config
from app.modalities.text.new_tokenizers.round_trip import report_losses, sample_texts
from app.modalities.text.tokenizers import read_tokenizer

_BYTES_A_TOKEN = 4.3  # of English, if the model's tokenizer cannot be read
_CACHED_PASSES = 4 / 3  # gradient caching computes the forward pass twice; a backward pass is two of them


class ContrastiveEstimator:
    def amount(
        self,
        model: str,
        hyperparameters: ContrastiveHyperparameters,
        files: CheckedFiles[DocumentSample],
        find: FindFolder,
    ) -> DataAmount:
        hp = hyperparameters
        _check_trainable(files.samples, hp)
        tokenizer = read_tokenizer(find(model))
        report = None
        bytes_a_token = _BYTES_A_TOKEN
        if tokenizer is not None:
            texts = sample_texts(files.samples)
            report = report_losses(tokenizer, texts, "base", f"the tokenizer of {model}")
            size = sum(len(text.encode(errors="surrogatepass")) for text in texts)
            bytes_a_token = size / report.tokens if report.tokens else _BYTES_A_TOKEN
        pairs = [s.documents / s.share for s in files.samples]
        tokens = [_count_tokens(s, hp, bytes_a_token) for s in files.samples]
        epoch_pairs, epoch_tokens = (
            sum(each * weight for each, weight in zip(counts, files.weights, strict=True)) for counts in (pairs, tokens)
        )
        sampled = not all(s.whole for s in files.samples)
        held_out = None if isinstance(files.held_out, ScoredSample) else files.held_out
        if not sampled:
            _check_enough(round(sum(pairs)), held_out)
        return DataAmount(
            documents=round(sum(pairs)),
            tokens=round(sum(tokens)),
            sampled=sampled,
            epoch_tokens=epoch_tokens if held_out is not None else epoch_tokens * (1 - hp.validation_fraction),
            shard_bytes=_shard_bytes(files.files, bytes_a_token),
            tokenizer=report,
            step_tokens=max(1, round(hp.batch_size * epoch_tokens / max(epoch_pairs, 1))),
        )

    def cost(self, model: str, hyperparameters: ContrastiveHyperparameters, find: FindFolder) -> Cost | None:
        hp = hyperparameters
        shape = shape_of_config(stored_config(find(model)))
        if shape is None:
            return None
        length = hp.sequence_length or DEFAULT_LENGTH
        cached = hp.gradient_accumulation_steps * hp.processes > 1
        return Cost(
            parameters=shape.parameters,
            flops=shape.body.flops(length) * (_CACHED_PASSES if cached else 1),
            activations=shape.body.activations(length),
            step_tokens=2 * hp.batch_size * length,
        )


def _check_trainable(samples: Sequence[DocumentSample], hp: ContrastiveHyperparameters) -> None:
    """Raises InvalidData for a training file that has scores and nothing to train on."""
    if any(isinstance(sample, ScoredSample) and not sample.pairs for sample in samples):
        columns = f"column {hp.text_column!r}"
        if hp.positives == "column":
            columns = f"columns {hp.anchor_column!r} and {hp.positive_column!r}"
        raise InvalidData(
            f"a file with scores and without the {columns} can be a validation_file, not a training_file",
            param="training_file",
        )


def _check_enough(pairs: int, held_out: DocumentSample | None) -> None:
    """Raises InvalidData for too few pairs to train on, or to hold out. held_out: of a validation file without scores.

    A batch needs two pairs, because each is a negative of the other.
    """
    needed = 4 if held_out is None else 2
    if pairs < needed:
        raise InvalidData(
            f"the number of pairs or texts is {pairs}; there must be at least 2 to train on"
            + (", and 2 to hold out" if held_out is None else ""),
            param="training_file",
        )
    if held_out is not None and held_out.whole and held_out.documents < 2:
        raise InvalidData(
            f"the number of pairs or texts is {held_out.documents}; there must be at least 2 to hold out",
            param="validation_file",
        )


def _count_tokens(sample: DocumentSample, hp: ContrastiveHyperparameters, bytes_a_token: float) -> float:
    """Returns the tokens of an epoch of a file, with those of both views of a text."""
    texts = 2 if hp.positives == "column" else 1
    mean = sample.bytes / max(sample.documents * texts, 1) / bytes_a_token + 2  # with special tokens
    each = min(mean, hp.sequence_length or DEFAULT_LENGTH)
    return sample.documents / sample.share * 2 * each


def _shard_bytes(samples: Sequence[DocumentSample], bytes_a_token: float) -> float:
    return sum((s.bytes / bytes_a_token * 2 + s.documents * 3 * 32) / s.share for s in samples)
