"""The proof that an ONNX graph computes what transformers does, in float32."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from app.errors import InvalidModel
from app.modalities.model_files import first_line
from app.modalities.text.encoder import pad
from app.modalities.text.forward import Batching, reset_attention
from app.modalities.text.objective import TextObjective, pad_token
from app.modalities.text.onnx_graph import TextGraph
from app.modalities.text.pipeline import pool
from app.modalities.text.proof import LONGEST, is_close, ordinary_ids, sample_texts


def prove_graph(file: Path, graph: TextGraph, served: TextObjective) -> float:
    """Runs a graph on a few texts, each alone and in a batch, and compares it with transformers on each text alone.

    Returns the largest difference between two numbers of an output. Raises InvalidModel where the outputs differ.
    """
    session = _open(file, served)
    texts = example_texts(served)
    expected = [_expect(graph, ids) for ids in texts]
    worst = 0.0
    for group in _groups(texts, served):
        found = _run(session, graph, [texts[i] for i in group], served)
        for row, i in enumerate(group):
            for name, tensor, wanted in zip(graph.outputs, found, expected[i], strict=True):
                # An embedding has no positions, and padding's are of no use.
                one = tensor[row] if wanted.dim() == 1 else tensor[row, : len(wanted)]
                worst = max(worst, _compare(name, one, wanted, served))
    return worst


def _open(file: Path, served: TextObjective) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised
    try:
        return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has one class of errors for each kind
        raise InvalidModel(f"the ONNX graph of {_kind(served)} cannot be loaded: {first_line(error)}") from error


def example_texts(served: TextObjective) -> list[list[int]]:
    """Token ids of texts of different lengths, the last one as long as the model reads, or 1,024 tokens."""
    model, tokenizer = served.model, served.tokenizer
    ordinary = ordinary_ids(len(tokenizer), tokenizer.all_special_ids, model)
    mask_id = tokenizer.mask_token_id if served.mask_token is not None else None
    longest = min(served.max_length, LONGEST)
    return [*sample_texts(ordinary, longest, mask_id), np.resize(ordinary, longest).tolist()]


def collate(texts: Sequence[list[int]], served: TextObjective) -> dict[str, Tensor]:
    """Token ids of texts → all inputs [B, longest] that a graph may have, padded."""
    inputs = pad(texts, pad_token(served.model, served.tokenizer))
    return inputs | {"token_type_ids": torch.zeros_like(inputs["input_ids"])}


def _groups(texts: Sequence[list[int]], served: TextObjective) -> Iterator[list[int]]:
    """Indices of the texts of each batch: each alone, and a batch of those that may be padded together."""
    batch = list(range(len(texts) - 1))
    if served.path.batching is Batching.EQUAL_LENGTHS:
        batch = [i for i in batch if len(texts[i]) == min(map(len, texts))]
    yield from ([i] for i in range(len(texts)))
    yield batch


def _expect(graph: TextGraph, ids: list[int]) -> list[Tensor]:
    """The outputs for a text alone, by transformers: logits [L, V], or hidden states [L, H] and an embedding [D]."""
    reset_attention(graph.model)
    with torch.inference_mode():
        output = graph.model(torch.tensor([ids]))
        if graph.pipeline is None:
            return [output.logits[0]]
        hidden_states, pipeline = output.last_hidden_state[0], graph.pipeline
        vector: Tensor = pipeline.head(pool(pipeline.pooling, hidden_states, torch.tensor([len(ids)])))
        if pipeline.normalize:
            vector = nn.functional.normalize(vector, dim=-1)
        return [hidden_states, vector[0, : pipeline.truncate_dim]]


def _run(session: Any, graph: TextGraph, texts: Sequence[list[int]], served: TextObjective) -> list[Tensor]:
    inputs = collate(texts, served)
    try:
        found = session.run(graph.outputs, {name: inputs[name].numpy() for name in graph.inputs})
    except Exception as error:
        shape = tuple(inputs["input_ids"].shape)
        raise InvalidModel(f"the ONNX graph cannot run on inputs of shape {shape}: {first_line(error)}") from error
    return [torch.from_numpy(each) for each in found]


def _compare(name: str, found: Tensor, expected: Tensor, served: TextObjective) -> float:
    difference = float((found - expected).abs().max())
    if not is_close(found, expected):
        raise InvalidModel(
            f"the ONNX graph of {_kind(served)} does not give the {name} of transformers: they differ by"
            f" {difference:.2g}, and the largest is {float(expected.abs().max()):.2g}"
        )
    return difference


def _kind(served: TextObjective) -> str:
    return repr(served.model.config.model_type)
