"""Every architecture of transformers with a masked-LM head gives what transformers gives, alone and in a batch."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer, PreTrainedModel

from app.methods import MlmHyperparameters
from app.modalities.embedding import EmbedItem
from app.modalities.text import TEXT
from app.modalities.text.items import FillMaskItem, ScoreItem
from app.modalities.text.load import load_text
from app.modalities.text.objective import TextObjective
from app.modalities.text.row_masking import Row
from app.serving.packing import pack
from app.types import Pooling, Task
from tests.conformance.text_types import TYPES, UNTRAINED, build_folder
from tests.fakes.perform import perform

TEXTS = [
    "the lions chase the [MASK] in the savanna , again and again !",
    "water [MASK] .",
    "[MASK] capital of france is [MASK] .",
    "a big old lion and a small new zebra see the sun in the day and the moon in the [MASK] . " * 3,
]
PLAIN = [text.replace("[MASK]", "river") for text in TEXTS]


def test_all_types_are_tried() -> None:
    assert set(TYPES) == set(TEXT.model_types)


PAGE = Path(__file__).parents[2] / "docs" / "models.md"
TABLE = PAGE.read_text(encoding="utf-8").partition("<!-- types -->")[2].partition("<!-- end of types -->")[0]
ROWS = re.findall(r"^\|( `([\w-]+)` \|.*)$", TABLE, re.MULTILINE)
DOCUMENTED = {name: row for row, name in ROWS}


def test_every_type_is_documented() -> None:
    assert set(DOCUMENTED) >= set(TYPES)


def test_a_head_that_reads_its_weights_fills_masks_when_packed(tmp_path: Path) -> None:
    folder = build_folder(tmp_path, "mobilebert")
    plain, packed = load_text(folder), load_text(folder)
    pack(packed.model)
    first, second = (perform(each.tasks[Task.FILL_MASK], [FillMaskItem(TEXTS[0])])[0] for each in (plain, packed))
    scores = [[candidate.score for candidate in result.masks[0].candidates] for result in (first, second)]
    assert np.allclose(*scores, atol=1e-5)


@pytest.fixture(scope="module", params=TYPES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_folder(tmp_path_factory.mktemp("types") / request.param, request.param)


@cache
def reference(folder: Path) -> PreTrainedModel:
    """The same model, by transformers alone."""
    return AutoModelForMaskedLM.from_pretrained(folder).eval()


def fresh(folder: Path) -> PreTrainedModel:
    """The reference as it is before it has read anything: a BigBird that has read a short text never changes again."""
    model = reference(folder)
    if hasattr(model.base_model, "set_attention_type"):
        model.base_model.set_attention_type(model.config.attention_type)  # type: ignore[operator, union-attr]
    return model


def expect_logits(folder: Path, ids: torch.Tensor) -> torch.Tensor:
    """Logits [L, V] of one text, by transformers alone."""
    with torch.inference_mode():
        return fresh(folder)(ids).logits[0]


def expect_hidden_states(folder: Path, ids: torch.Tensor) -> np.ndarray:
    """The last hidden states [L, H] of one text, by transformers alone."""
    with torch.inference_mode():
        return fresh(folder).base_model(ids).last_hidden_state[0].numpy()


@cache
def tokenizer(folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(folder)


def encode(folder: Path, text: str) -> torch.Tensor:
    return tokenizer(folder)(text, return_tensors="pt")["input_ids"]


@pytest.fixture(scope="module")
def served(folder: Path) -> TextObjective:
    return load_text(folder)


def in_batches(texts: list[str]) -> list[list[str]]:
    """All together, and each alone."""
    return [texts, *([text] for text in texts)]


def test_the_documented_path(served: TextObjective, folder: Path) -> None:
    """`python -m scripts.model_table` writes the table anew."""
    assert f"| {', '.join(served.tasks)} | {served.forward_path} |" in DOCUMENTED[folder.name]


def test_fill_mask(served: TextObjective, folder: Path) -> None:
    expected = {}
    for text in TEXTS:
        ids = encode(folder, text)
        expected[text] = expect_logits(folder, ids)[ids[0] == served.tokenizer.mask_token_id].softmax(-1)
    for texts in in_batches(TEXTS):
        filled = perform(served.tasks[Task.FILL_MASK], [FillMaskItem(text, top_k=5) for text in texts])
        for text, result in zip(texts, filled, strict=True):
            assert len(result.masks) == len(expected[text])
            for mask, scores in zip(result.masks, expected[text], strict=True):
                best = scores[: len(served.tokenizer)].topk(5)  # the table has more rows than the tokenizer entries
                assert [each.token for each in mask.candidates] == best.indices.tolist()
                assert [each.score for each in mask.candidates] == pytest.approx(best.values.tolist(), rel=1e-3)


def test_score(served: TextObjective, folder: Path) -> None:
    text = PLAIN[1]
    ids = encode(folder, text)
    expected = []
    for place in range(1, ids.shape[1] - 1):
        masked = ids.clone()
        masked[0, place] = served.tokenizer.mask_token_id
        expected.append(expect_logits(folder, masked)[place].log_softmax(-1)[ids[0, place]].item())
    for items in ([ScoreItem(text)], [ScoreItem(PLAIN[0]), ScoreItem(text)]):
        scored = perform(served.tasks[Task.SCORE], items)[-1]
        assert [each.log_prob for each in scored.scored] == pytest.approx(expected, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("pooling", [Pooling.MEAN, Pooling.CLS])
def test_embeddings(served: TextObjective, folder: Path, pooling: Pooling) -> None:
    hidden_states = [expect_hidden_states(folder, encode(folder, text)) for text in PLAIN]
    expected = {
        text: h.mean(0) if pooling is Pooling.MEAN else h[0] for text, h in zip(PLAIN, hidden_states, strict=True)
    }
    for texts in in_batches(PLAIN):
        items = [EmbedItem(text, normalize=False, pooling=pooling) for text in texts]
        for text, result in zip(texts, perform(served.tasks[Task.EMBED], items), strict=True):
            np.testing.assert_allclose(result.vector, expected[text], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("model_type", sorted(set(TYPES) - UNTRAINED))
def test_training(model_type: str, tmp_path: Path) -> None:
    """The loss of two documents is that of transformers, and has a gradient."""
    served = load_text(build_folder(tmp_path, model_type))
    served.start_training(MlmHyperparameters(sequence_length=32), 0.3, None)
    rows = [Row(encode(tmp_path, text)[0].numpy(), (len(encode(tmp_path, text)[0]),)) for text in (PLAIN[0], PLAIN[2])]
    masked = [served.mask_sample(row, np.random.default_rng(number)) for number, row in enumerate(rows)]
    for some in (masked[:1], masked[1:]):
        batch = served.collate_masked(some)
        loss, metrics = served.forward(batch)
        logits = expect_logits(tmp_path, torch.from_numpy(some[0].seen)[None])
        expected = torch.nn.functional.cross_entropy(logits[some[0].chosen], batch.labels)
        assert float(loss.detach()) == pytest.approx(float(expected), rel=1e-3)
        assert metrics.count == int(some[0].chosen.sum()) > 0
    together, _ = served.forward(served.collate_masked(masked))
    together.backward()
    gradients = [parameter.grad for parameter in served.model.parameters() if parameter.grad is not None]
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)
    table = served.model.get_input_embeddings().weight.grad
    assert table is not None
    assert table.abs().max() > 0
