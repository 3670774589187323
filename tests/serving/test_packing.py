"""Packed layers answer as the plain ones do."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from transformers.activations import GELUActivation

from app.modalities.embedding import EmbedItem
from app.modalities.text.items import FillMaskItem
from app.modalities.text.load import load_text
from app.serving.packing import PackedLinear, pack
from app.types import Task
from tests.fakes.perform import perform
from tests.fakes.tiny_models import ARCHITECTURES, tiny_text_folder

TEXTS = ["The capital of France is [MASK].", "Water [MASK].", "[MASK] lions chase the deer."]

needs_onednn = pytest.mark.skipif(
    not hasattr(torch.ops.mkldnn, "_linear_pointwise") or not torch.ops.mkldnn._is_mkldnn_bf16_supported(),
    reason="no oneDNN with bfloat16 here",
)


@needs_onednn
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_packed_layer_is_the_plain_one(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layer = nn.Sequential(nn.Linear(48, 80), nn.Linear(80, 16, bias=False)).to(dtype)
    inputs = torch.randn(3, 5, 48, dtype=dtype)
    with torch.inference_mode():
        expected = layer(inputs)
        pack(layer)
        assert all(type(each) is PackedLinear for each in layer)
        torch.testing.assert_close(layer(inputs), expected)
    assert sum(p.numel() for p in layer.parameters()) == 48 * 80 + 80 + 80 * 16


@needs_onednn
def test_a_gelu_becomes_part_of_the_layer() -> None:
    class Intermediate(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense, self.intermediate_act_fn = nn.Linear(8, 24), GELUActivation()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.intermediate_act_fn(self.dense(x))

    module, x = Intermediate(), torch.randn(7, 8)
    with torch.inference_mode():
        expected = module(x)
        pack(module)
        assert isinstance(module.intermediate_act_fn, nn.Identity)
        torch.testing.assert_close(module(x), expected)


@needs_onednn
def test_what_the_embedding_table_shares_is_kept() -> None:
    table, head = nn.Embedding(30, 8), nn.Linear(8, 30, bias=False)
    head.weight = table.weight
    model = nn.ModuleList([table, head])
    pack(model)
    assert type(head) is PackedLinear
    assert table.weight.device.type == "cpu" and table(torch.tensor([3])).shape == (1, 8)


@needs_onednn
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_answers_alike(architecture: str, tmp_path: Path) -> None:
    folder = tiny_text_folder(tmp_path, architecture)
    plain, packed = load_text(folder), load_text(folder)
    pack(packed.model)
    one, other = (perform(o.tasks[Task.EMBED], [EmbedItem(t) for t in TEXTS]) for o in (plain, packed))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a.vector, b.vector, atol=1e-5)
    one, other = (perform(o.tasks[Task.FILL_MASK], [FillMaskItem(t) for t in TEXTS]) for o in (plain, packed))
    for a, b in zip(one, other, strict=True):
        for first, second in zip(a.masks, b.masks, strict=True):
            assert [c.token for c in first.candidates] == [c.token for c in second.candidates]
    assert packed.parameter_count() == plain.parameter_count()
