"""Sparse vectors against sentence-transformers' SparseEncoder."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SparseEncoder
from sentence_transformers.sentence_transformer.modules import Transformer
from sentence_transformers.sparse_encoder.modules import SpladePooling

from app.errors import InvalidModel, InvalidValue
from app.modalities.embedding import EmbedItem
from app.modalities.text import TEXT
from app.modalities.text.load import load_text
from app.types import CompareMethod, Pooling, Task
from tests.fakes.perform import perform
from tests.fakes.tiny_models import CORPUS, tiny_text_folder

TEXTS = [*CORPUS[:4], "Water."]


def build(tmp_path: Path, architecture: str = "bert", **pooling: Any) -> tuple[SparseEncoder, Path]:
    transformer = Transformer(str(tiny_text_folder(tmp_path / "plain", architecture)), transformer_task="fill-mask")
    theirs = SparseEncoder(modules=[transformer, SpladePooling(**pooling)], device="cpu")
    theirs.save_pretrained(str(tmp_path / "splade"))
    return theirs, tmp_path / "splade"


def densify(results: list[Any], size: int) -> np.ndarray:
    rows = np.zeros((len(results), size), np.float32)
    for row, result in zip(rows, results, strict=True):
        row[result.sparse.indices] = result.sparse.weights
    return rows


@pytest.mark.parametrize(
    ("architecture", "pooling"),
    [
        ("bert", {}),
        ("bert", {"pooling_strategy": "sum"}),
        ("bert", {"activation_function": "log1p_relu"}),
        ("modernbert", {}),
        ("distilbert", {}),
    ],
)
def test_vectors_are_those_of_sentence_transformers(architecture: str, pooling: dict[str, Any], tmp_path: Path) -> None:
    theirs, folder = build(tmp_path, architecture, **pooling)
    expected = theirs.encode(TEXTS, convert_to_sparse_tensor=False, convert_to_tensor=True).numpy()

    TEXT.check_folder(folder)
    served: Any = TEXT.load(folder, dtype=torch.float32)
    assert served.comparison.method is CompareMethod.SPARSE
    items = [EmbedItem(text, output="sparse") for text in TEXTS]
    found = perform(served.tasks[Task.EMBED], items)
    np.testing.assert_allclose(densify(found, expected.shape[1]), expected, atol=1e-5)
    best = found[0].sparse
    assert list(best.weights) == sorted(best.weights, reverse=True) and best.weights[-1] > 0
    (few,) = perform(served.tasks[Task.EMBED], [EmbedItem(TEXTS[0], output="sparse", terms=3)])
    np.testing.assert_array_equal(few.sparse.indices, best.indices[:3])


def test_a_sparse_model_gives_dense_vectors_only_where_a_pooling_is_named(tmp_path: Path) -> None:
    handler = load_text(build(tmp_path)[1]).tasks[Task.EMBED]
    with pytest.raises(InvalidValue, match="trained for sparse vectors"):
        perform(handler, [EmbedItem("a")])
    dense, sparse = perform(handler, [EmbedItem("a", pooling=Pooling.MEAN), EmbedItem("a", output="sparse")])
    assert dense.sparse is None and sparse.sparse is not None


def test_refusals(tmp_path: Path) -> None:
    folder = tiny_text_folder(tmp_path / "plain", "bert")
    handler = load_text(folder).tasks[Task.EMBED]
    with pytest.raises(InvalidValue, match="`layer` is for dense vectors"):
        perform(handler, [EmbedItem("a", output="sparse", layer=1)])
    bare = load_text(folder, keep_head=False).tasks[Task.EMBED]
    with pytest.raises(InvalidValue, match="no masked-LM head"):
        perform(bare, [EmbedItem("a", output="sparse")])
    _, splade = build(tmp_path)
    (splade / "1_SpladePooling" / "config.json").write_text('{"pooling_strategy": "mean"}')
    with pytest.raises(InvalidModel, match="'mean'"):
        TEXT.check_folder(splade)
