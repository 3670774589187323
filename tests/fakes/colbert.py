"""Tiny multi-vector models, saved by sentence-transformers."""

import string
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import MultiVectorEncoder
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
from sentence_transformers.sentence_transformer.modules import Normalize
from torch import nn

from tests.fakes.tiny_models import tiny_text_folder

CLASSIC = {"strategy": "fixed", "length": 16}  # query expansion


def build_colbert(tmp_path: Path, architecture: str = "bert", **options: Any) -> tuple[MultiVectorEncoder, Path]:
    """Returns a tiny model of the library with two projections, and the folder that it is saved in."""
    words = options.pop("words", list(string.punctuation))
    tasks, function = options.pop("tasks", None), options.pop("function", None)
    encoder = Transformer(str(tiny_text_folder(tmp_path / "plain", architecture)), **options)
    size = encoder.get_embedding_dimension()
    torch.manual_seed(0)
    layers = [
        Dense(*sizes, bias=bias, activation_function=activation, module_input_name="token_embeddings")
        for sizes, bias, activation in (((size, 24), True, nn.Tanh()), ((24, 8), False, nn.Identity()))
    ]
    modules = [encoder, *layers, MultiVectorMask(words, skiplist_tasks=tasks)]
    theirs = MultiVectorEncoder(
        modules=[*modules, Normalize(module_input_name="token_embeddings")],
        prompts={"query": "[Q] ", "document": "[D] "},
        similarity_fn_name=function,
        device="cpu",
    )
    theirs.save_pretrained(str(tmp_path / "colbert"))
    return theirs, tmp_path / "colbert"
