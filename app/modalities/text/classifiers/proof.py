"""The proof that Cloze runs a classifier right: its own batches against transformers, a text at a time, in float32."""

import copy
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from app.errors import InvalidModel
from app.modalities.model_files import first_line
from app.modalities.text.classifiers.forward import ClassifierForward
from app.modalities.text.classifiers.reader import ClassifierReader
from app.modalities.text.classifiers.template import TypedIds
from app.modalities.text.forward import Batching, ForwardPath, reset_attention
from app.modalities.text.proof import candidate_paths, is_close, run_longest, sample_texts

_PAIR = (5, 8)  # tokens of the texts of a pair
_SEED = 1


def prove_classifier(
    model: PreTrainedModel,
    reader: ClassifierReader,
    pad_id: int,
    ordinary: Sequence[int],
    *,
    labels: int,
    of_tokens: bool,
    reads_types: bool,
) -> ForwardPath:
    """Returns the first forward path whose logits equal those of transformers.

    pad_id: that batches are padded with. ordinary: token ids that texts are made of. labels: of the configuration.
    of_tokens: the model labels tokens. Raises InvalidModel where none does, or where the model cannot be run.
    """
    if model.dtype != torch.float32:
        model = copy.deepcopy(model).float()
    rows = list(_sample_rows(reader, ordinary, pair=not of_tokens))
    try:
        with torch.inference_mode():
            expected = [_alone(model, row, reads_types) for row in rows]
            run_longest(model, ordinary, reader.max_length)
    except Exception as error:  # of any of transformers' models
        raise InvalidModel(f"the model cannot be run: {first_line(error)}") from error
    if not all(tensor.isfinite().all() for tensor in expected):
        raise InvalidModel("the model computes numbers that are not finite")
    if any(tensor.shape[-1] != labels for tensor in expected):
        raise InvalidModel(f"config.json names {labels} labels, and the model has {expected[0].shape[-1]} outputs")
    for path in _candidates(model):
        if _is_right(model, path, pad_id, rows, expected, of_tokens, reads_types):
            return path
    raise InvalidModel(
        f"a classifier of {model.config.model_type!r} cannot be served: a batch of texts gives other results than each"
        " text alone"
    )


def _candidates(model: PreTrainedModel) -> Iterator[ForwardPath]:
    """Yields the ways of batching that are tried. Encoder-decoders read one text at a time, as equal lengths do."""
    for batching in dict.fromkeys(path.batching for path in candidate_paths(model)):
        if batching is Batching.EQUAL_LENGTHS or not model.config.is_encoder_decoder:
            yield ForwardPath(batching)


def _sample_rows(reader: ClassifierReader, ordinary: Sequence[int], *, pair: bool) -> Iterator[TypedIds]:
    """Yields texts of different lengths with the special tokens around them, and a pair of texts."""
    for ids in sample_texts(ordinary, reader.max_length - reader.template.added, None):
        yield reader.template.fill([ids])
    if pair and reader.max_length >= sum(_PAIR) + reader.pair_template.added:
        rng = np.random.default_rng(_SEED)
        yield reader.pair_template.fill([rng.choice(ordinary, length).tolist() for length in _PAIR])


def _alone(model: PreTrainedModel, row: TypedIds, reads_types: bool) -> Tensor:
    """The logits of a text, by transformers: [L], or [tokens, L]."""
    inputs = {"input_ids": torch.tensor([row.ids], device=model.device)}
    if reads_types:
        inputs["token_type_ids"] = torch.tensor([row.types], device=model.device)
    reset_attention(model)
    found: Tensor = model(**inputs).logits[0]
    return found


def _is_right(
    model: PreTrainedModel,
    path: ForwardPath,
    pad_id: int,
    rows: Sequence[TypedIds],
    expected: Sequence[Tensor],
    of_tokens: bool,
    reads_types: bool,
) -> bool:
    """Whether the texts together, and two alone, give what is expected; also padded, as a GPU runs what is unpadded."""
    paths = [path, ForwardPath(Batching.PADDED)] if path.batching is Batching.UNPADDED else [path]
    try:
        with torch.inference_mode():
            return all(
                _agrees(forward, [rows[i] for i in group], [expected[i] for i in group], of_tokens)
                for forward in (ClassifierForward(model, each, pad_id, reads_types=reads_types) for each in paths)
                for group in (range(len(rows)), [0], [2])
            )
    except Exception:  # a path that an architecture does not know raises anything
        return False


def _agrees(forward: ClassifierForward, rows: list[TypedIds], expected: list[Tensor], of_tokens: bool) -> bool:
    batch = forward.collate_rows(rows)
    found = forward.token_logits(batch) if of_tokens else forward.text_logits(batch)
    wanted = torch.cat(expected) if of_tokens else torch.stack(expected)
    return found.shape == wanted.shape and is_close(found, wanted)
