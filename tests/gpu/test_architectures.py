"""Every architecture answers on a GPU what it answers on a CPU."""

from pathlib import Path

import numpy as np
import pytest
import torch

from app.modalities.embedding import EmbedItem
from app.modalities.text.items import FillMaskItem
from app.modalities.text.load import load_text
from app.types import Pooling, Task
from tests.conformance.text_types import TYPES, build_folder
from tests.fakes.gpu import DEVICE, HAS_GPU
from tests.fakes.perform import perform

if not HAS_GPU:
    pytest.skip("needs a CUDA device", allow_module_level=True)
pytestmark = pytest.mark.gpu

TEXTS = [
    "the lions chase the [MASK] in the savanna , again and again !",
    "water [MASK] .",
    "a big old lion and a small new zebra see the sun in the day and the moon in the [MASK] . " * 3,
]
PLAIN = [text.replace("[MASK]", "river") for text in TEXTS]


@pytest.fixture(autouse=True, scope="module")
def _exact_products() -> None:
    torch.backends.cuda.matmul.allow_tf32 = False


@pytest.mark.parametrize("model_type", TYPES)
def test_the_answers_of_the_cpu(model_type: str, tmp_path: Path) -> None:
    folder = build_folder(tmp_path / model_type, model_type)
    reference, tried = load_text(folder), load_text(folder)
    tried.to(DEVICE, torch.float32)
    masked = [FillMaskItem(text, top_k=3) for text in TEXTS]
    for expected, found in zip(
        *(perform(each.tasks[Task.FILL_MASK], masked) for each in (reference, tried)), strict=True
    ):
        for mask, other in zip(expected.masks, found.masks, strict=True):
            assert [c.score for c in other.candidates] == pytest.approx([c.score for c in mask.candidates], rel=1e-3)
    plain = [EmbedItem(text, pooling=Pooling.MEAN) for text in PLAIN]
    for expected, found in zip(*(perform(each.tasks[Task.EMBED], plain) for each in (reference, tried)), strict=True):
        np.testing.assert_allclose(found.vector, expected.vector, rtol=1e-3, atol=1e-4)


def test_texts_without_padding_in_bfloat16(tmp_path: Path) -> None:
    folder = build_folder(tmp_path / "bert", "bert")
    reference, tried = load_text(folder), load_text(folder)
    tried.to(DEVICE, torch.bfloat16)
    if DEVICE.type == "cuda":
        assert not tried.tasks[Task.EMBED].pads, "this version of torch has no attention without padding here"
    plain = [EmbedItem(text, pooling=Pooling.MEAN) for text in PLAIN]
    for expected, found in zip(*(perform(each.tasks[Task.EMBED], plain) for each in (reference, tried)), strict=True):
        assert float(expected.vector @ found.vector) > 0.999
