"""The proof that Cloze runs a text model right: its own batches against transformers, a text at a time, in float32."""

import copy
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from app.errors import InvalidModel
from app.modalities.model_files import first_line
from app.modalities.text.encoder import vocabulary_size
from app.modalities.text.forward import Batching, ForwardPath, TextForward, reset_attention

# Model types whose attention goes through transformers' interface and knows no distance between tokens but the
# positions that they are given: their texts are tried without padding first.
UNPADDED = frozenset(
    {
        *("albert", "bert", "camembert", "data2vec-text", "distilbert", "electra", "ernie", "roberta"),
        *("roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod"),
    }
)
_PADDED = (ForwardPath(Batching.PADDED), ForwardPath(Batching.PADDED, whole_head=True))
_EQUAL = (ForwardPath(Batching.EQUAL_LENGTHS), ForwardPath(Batching.EQUAL_LENGTHS, whole_head=True))

_LENGTHS = (9, 4, 200, 4)  # tokens of the texts; local attention and blocks show in the long one
_PLACES = 16  # of each text, whose logits are compared
_TOLERANCE = 1e-4  # of the largest number, for sums in another order
LONGEST = 1024  # tokens of the text that tries the model's limit
_SEED = 0


def prove(
    model: PreTrainedModel,
    pad_id: int,
    ordinary: Sequence[int],
    *,
    mask_id: int | None,
    max_length: int,
    has_head: bool,
) -> ForwardPath:
    """The first forward path whose results equal those of transformers.

    pad_id: that batches are padded with. ordinary: token ids that texts are made of. mask_id: of the mask token, which
    ESM treats in its own way; None without one. max_length: tokens that are served. has_head: the model fills masks,
    so its logits are compared too.
    Raises InvalidModel where none does, or where the model cannot be run.
    """
    if model.dtype != torch.float32:
        model = copy.deepcopy(model).float()
    texts = list(sample_texts(ordinary, max_length, mask_id))
    try:
        with torch.inference_mode():
            expected = [_alone(model, ids, has_head) for ids in texts]
            run_longest(model, ordinary, max_length)
    except Exception as error:  # of any of transformers' models
        raise InvalidModel(f"the model cannot be run: {first_line(error)}") from error
    if not all(tensor.isfinite().all() for each in expected for tensor in each):
        raise InvalidModel("the model computes numbers that are not finite")
    for path in candidate_paths(model):
        if _is_right(model, path, pad_id, texts, expected, has_head):
            return path
    raise InvalidModel(
        f"{model.config.model_type!r} cannot be served: a batch of texts gives other results than each text alone"
    )


def gives_hidden_states(
    model: PreTrainedModel, path: ForwardPath, pad_id: int, ordinary: Sequence[int], max_length: int
) -> bool:
    """Whether the encoder gives a vector for each token, and the same on the path as by transformers."""
    if model.dtype != torch.float32:
        model = copy.deepcopy(model).float()
    texts = list(sample_texts(ordinary, max_length, None))
    try:
        with torch.inference_mode():
            expected = [_alone(model, ids, has_head=False) for ids in texts]
    except Exception:  # of any of transformers' models
        return False
    lengths_fit = all(len(each[0]) == len(ids) for each, ids in zip(expected, texts, strict=True))
    return lengths_fit and _is_right(model, path, pad_id, texts, expected, has_head=False)


def first_path(model: PreTrainedModel) -> ForwardPath:
    """The path that is tried first: for models that Cloze builds itself, whose types its tests prove."""
    return next(candidate_paths(model))


def candidate_paths(model: PreTrainedModel) -> Iterator[ForwardPath]:
    """Yields the paths that are tried for a model, the fastest first."""
    if model.config.model_type in UNPADDED:
        yield ForwardPath(Batching.UNPADDED)
    yield from _PADDED
    yield from _EQUAL


def sample_texts(ordinary: Sequence[int], limit: int, mask_id: int | None) -> Iterator[list[int]]:
    """Token ids of texts of `_LENGTHS`; each second one has a mask in its middle."""
    rng = np.random.default_rng(_SEED)
    for number, length in enumerate(_LENGTHS):
        ids = rng.choice(ordinary, min(length, limit)).tolist()
        if mask_id is not None and number % 2 == 0:
            ids[len(ids) // 2] = mask_id
        yield ids


def _alone(model: PreTrainedModel, ids: list[int], has_head: bool) -> list[Tensor]:
    """The hidden states of a text and, if it has a head, logits at `_logit_positions`, by transformers."""
    inputs = torch.tensor([ids], device=model.device)
    reset_attention(model)
    found = [model.base_model(inputs).last_hidden_state[0]]
    if has_head:
        reset_attention(model)
        found.append(model(inputs).logits[0][_logit_positions(ids)])
    return found


def _logit_positions(ids: Sequence[int]) -> list[int]:
    return sorted({round(place) for place in np.linspace(0, len(ids) - 1, _PLACES)})


def run_longest(model: PreTrainedModel, ordinary: Sequence[int], limit: int) -> None:
    """Raises whatever a model raises for a text of as many tokens as it says that it reads."""
    if max(_LENGTHS) < limit <= LONGEST:
        model.base_model(torch.tensor([np.resize(ordinary, limit).tolist()], device=model.device))


def _is_right(
    model: PreTrainedModel,
    path: ForwardPath,
    pad_id: int,
    texts: Sequence[list[int]],
    expected: Sequence[list[Tensor]],
    has_head: bool,
) -> bool:
    """Whether the texts together, and two alone, give what is expected; also padded, as a GPU runs what is unpadded."""
    paths = [path, _PADDED[0]] if path.batching is Batching.UNPADDED else [path]
    try:
        with torch.inference_mode():
            groups = [list(range(len(texts))), [0], [2]]
            return all(
                _agree(forward, [texts[i] for i in group], [expected[i] for i in group], has_head)
                for forward in (TextForward(model, each, pad_id) for each in paths)
                for group in groups
            )
    except Exception:  # a path that an architecture does not know raises anything
        return False


def _agree(forward: TextForward, texts: list[list[int]], expected: list[list[Tensor]], has_head: bool) -> bool:
    batch = forward.collate(texts)
    hidden_states = torch.split(forward.hidden_states(batch), batch.lengths)
    pairs = [(one, each[0]) for one, each in zip(hidden_states, expected, strict=True)]
    pairs += [(one, each[0][0]) for one, each in zip(forward.first_hidden_states(batch), expected, strict=True)]
    if has_head:
        places = [(i, place) for i, ids in enumerate(texts) for place in _logit_positions(ids)]
        logits = forward.logits(batch, forward.places(batch, places))[: len(places)]
        pairs.append((logits, torch.cat([each[1] for each in expected])))
    return all(is_close(one, other) for one, other in pairs)


def is_close(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).abs().max() <= _TOLERANCE * max(1.0, float(other.abs().max())))


def ordinary_ids(size: int, special: Sequence[int], model: PreTrainedModel) -> list[int]:
    """Ids of a tokenizer of `size` entries that are not special tokens and are in the model's table."""
    left_out = set(special)
    return [token for token in range(min(size, vocabulary_size(model))) if token not in left_out]
