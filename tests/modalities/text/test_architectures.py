"""The contract that every served architecture keeps, against plain transformers."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer

from app.errors import InputTooLong
from app.methods.text import longest_sequence
from app.modalities.embedding import EmbedItem
from app.modalities.text.encoder import position_limit
from app.modalities.text.items import FillMaskItem
from app.modalities.text.load import load_text
from app.modalities.text.objective import TextObjective
from app.types import Pooling, Task
from tests.fakes.perform import perform
from tests.fakes.tiny_models import ARCHITECTURES, MAX_LENGTH, tiny_text_folder

TEXTS = [
    "The capital of France is [MASK].",
    "[MASK] lions chase the [MASK] in the savanna, again and again!",
    "Water [MASK].",
]


@pytest.fixture(params=ARCHITECTURES)
def folder(request: pytest.FixtureRequest, folders: Any) -> Path:
    return folders(request.param)


@pytest.fixture
def objective(folder: Path, objectives: Any, request: pytest.FixtureRequest) -> TextObjective:
    return objectives(request.node.callspec.params["folder"])


def plain_scores(folder: Path, text: str) -> tuple[torch.Tensor, list[int]]:
    """Probabilities [masks, V] and mask positions by transformers alone."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForMaskedLM.from_pretrained(folder).eval()
    inputs = tokenizer(text.replace("[MASK]", tokenizer.mask_token), return_tensors="pt")
    at = (inputs["input_ids"][0] == tokenizer.mask_token_id).nonzero()[:, 0]
    with torch.no_grad():
        return model(**inputs).logits[0, at].softmax(-1), at.tolist()


def plain_hidden_states(folder: Path, text: str) -> np.ndarray:
    """The last hidden state [L, H] by transformers alone."""
    inputs = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    with torch.no_grad():
        return AutoModel.from_pretrained(folder).eval()(**inputs).last_hidden_state[0].numpy()


def test_fill_mask_equals_plain_transformers(objective: TextObjective, folder: Path) -> None:
    results = perform(objective.tasks[Task.FILL_MASK], [FillMaskItem(text, top_k=7) for text in TEXTS])
    for text, result in zip(TEXTS, results, strict=True):
        expected, positions = plain_scores(folder, text)
        assert [mask.position for mask in result.masks] == positions
        best = expected.topk(7)
        for row, mask in enumerate(result.masks):
            assert [c.token for c in mask.candidates] == best.indices[row].tolist()
            assert [c.score for c in mask.candidates] == pytest.approx(best.values[row].tolist(), rel=1e-4)


def test_embeddings_equal_plain_transformers(objective: TextObjective, folder: Path) -> None:
    texts = [text.replace("[MASK]", "tomorrow") for text in TEXTS]
    pooled = perform(objective.tasks[Task.EMBED], [EmbedItem(t, normalize=False, pooling=Pooling.MEAN) for t in texts])
    tokens = perform(objective.tasks[Task.EMBED], [EmbedItem(t, normalize=False, output="tokens") for t in texts])
    for text, vector, matrix in zip(texts, pooled, tokens, strict=True):
        hidden_states = plain_hidden_states(folder, text)
        np.testing.assert_allclose(matrix.vector, hidden_states, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(vector.vector, hidden_states.mean(0), rtol=1e-4, atol=1e-4)
        assert vector.tokens == matrix.tokens == len(hidden_states)


def test_batched_equals_single(objective: TextObjective) -> None:
    for task, items in (
        (Task.FILL_MASK, [FillMaskItem(text, top_k=3 + i) for i, text in enumerate(TEXTS)]),
        (Task.EMBED, [EmbedItem(text, pooling=p) for text, p in zip(TEXTS, Pooling, strict=True)]),
    ):
        batched = perform(objective.tasks[task], items)
        single = [perform(objective.tasks[task], [item])[0] for item in items]
        for one, other in zip(batched, single, strict=True):
            assert one.tokens == other.tokens
            if task is Task.EMBED:
                np.testing.assert_allclose(one.vector, other.vector, atol=1e-5)
                continue
            for a, b in zip(one.masks, other.masks, strict=True):
                assert [(c.token, c.sequence) for c in a.candidates] == [(c.token, c.sequence) for c in b.candidates]
                assert [c.score for c in a.candidates] == pytest.approx([c.score for c in b.candidates], rel=1e-4)


def test_the_head_sees_only_the_masks(objective: TextObjective) -> None:
    seen: list[int] = []
    projection = objective.model.get_output_embeddings()
    handle = projection.register_forward_pre_hook(lambda module, args: seen.append(args[0].shape[:-1].numel()))
    try:
        perform(objective.tasks[Task.FILL_MASK], [FillMaskItem(text) for text in TEXTS])
    finally:
        handle.remove()
    assert seen == [4 if objective.tasks[Task.FILL_MASK].pads else 8]  # rounded as batches are


def test_both_ways_to_write_a_mask_are_one(objective: TextObjective) -> None:
    handler = objective.tasks[Task.FILL_MASK]
    for text in TEXTS:
        own = handler.prepare(FillMaskItem(text.replace("[MASK]", objective.mask_token)))
        alias = handler.prepare(FillMaskItem(text))
        assert own.inputs.ids == alias.inputs.ids == objective.tokenizer(own.context.text.text.text)["input_ids"]


def test_the_longest_input_runs_and_a_longer_one_is_refused(objective: TextObjective) -> None:
    assert position_limit(objective.model) == objective.max_length == MAX_LENGTH
    embed = objective.tasks[Task.EMBED]
    letter = objective.tokenizer.convert_tokens_to_ids("a")
    fits = EmbedItem((letter,) * (MAX_LENGTH - 2))
    assert perform(embed, [fits])[0].tokens == MAX_LENGTH
    with pytest.raises(InputTooLong, match=rf"\b{MAX_LENGTH + 1} tokens .* \b{MAX_LENGTH};"):
        embed.steps(EmbedItem((letter,) * (MAX_LENGTH - 1)))


def test_every_task_has_an_example_to_warm_up_with(objective: TextObjective) -> None:
    for handler in objective.tasks.values():
        assert perform(handler, [handler.example()])[0].tokens >= 3


def test_a_bare_encoder_only_embeds(objective: TextObjective, folder: Path, tmp_path: Path) -> None:
    architecture = objective.model.config.model_type
    objective.model.base_model.save_pretrained(tmp_path)
    objective.tokenizer.save_pretrained(tmp_path)
    bare = load_text(tmp_path)
    assert (bare.has_head, set(bare.tasks)) == (False, {Task.EMBED})
    assert bare.parameter_count() < objective.parameter_count()
    one, other = (perform(o.tasks[Task.EMBED], [EmbedItem(TEXTS[0])])[0].vector for o in (bare, objective))
    np.testing.assert_allclose(one, other, atol=1e-6)
    for_training = load_text(tmp_path, new_head=True)
    assert for_training.has_head and for_training.model.config.model_type == architecture
    assert for_training.parameter_count() == objective.parameter_count()


def test_bfloat16_stays_close(objective: TextObjective, folder: Path) -> None:
    half = load_text(folder)
    half.to(torch.device("cpu"), torch.bfloat16)
    assert half.model.dtype == torch.bfloat16
    one, other = (perform(o.tasks[Task.EMBED], [EmbedItem(TEXTS[1])])[0].vector for o in (half, objective))
    assert one.dtype == np.float32
    assert float(one @ other) > 0.99
    (filled,) = perform(half.tasks[Task.FILL_MASK], [FillMaskItem(TEXTS[1])])
    assert all(0 < c.score <= 1 for mask in filled.masks for c in mask.candidates)


def test_rotary_frequencies_keep_their_precision(tmp_path: Path) -> None:
    objective = load_text(tiny_text_folder(tmp_path, "modernbert"))
    objective.to(torch.device("cpu"), torch.bfloat16)
    frequencies = [b for _, b in objective.model.named_buffers() if b.is_floating_point()]
    assert frequencies and all(b.dtype == torch.float32 for b in frequencies)


def test_the_longest_sequence_is_known_without_loading(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    for longest in (1_000_000, 20):
        settings = json.loads((copy / "tokenizer_config.json").read_text()) | {"model_max_length": longest}
        (copy / "tokenizer_config.json").write_text(json.dumps(settings))
        config = json.loads((copy / "config.json").read_text()) | {"model_max_length": longest}
        assert longest_sequence(config) == load_text(copy).max_length
