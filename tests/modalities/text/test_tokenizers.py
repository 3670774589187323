"""Tokenizers that are trained here, and those that earlier versions trained."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import AddedToken
from transformers import PreTrainedTokenizerFast

from app.methods.text import WORD_CHARS
from app.methods.tokenizers import KINDS, TokenizerOptions
from app.modalities.text.builder import build_preset
from app.modalities.text.items import FillMaskItem
from app.modalities.text.load import load_text, load_tokenizer
from app.modalities.text.new_tokenizers import kinds
from app.modalities.text.objective import TextObjective
from app.modalities.text.tokenizers import find_kind, keeps_space_before_mask
from app.modalities.text.unknown import Unknown, find_unknown
from app.types import Task
from tests.fakes.perform import perform
from tests.fakes.tiny_models import tiny_text_folder

LINES = [f"The {thing} is {colour}." for thing, colour in (("sky", "blue"), ("snow", "white"), ("sun", "yellow"))] * 9
TINY = {"model_type": "bert", "num_hidden_layers": 1, "hidden_size": 32, "num_attention_heads": 2}


def train_tokenizer(kind: str, lines: list[str], vocab_size: int, max_length: int) -> PreTrainedTokenizerFast:
    return kinds.train_tokenizer(lines, TokenizerOptions(tokenizer=kind, vocab_size=vocab_size), max_length)


def bpe(*, keeps_space: bool = False) -> PreTrainedTokenizerFast:
    tokenizer = train_tokenizer("bpe", LINES, 400, 32)
    if keeps_space:  # as earlier versions made it
        tokenizer.backend_tokenizer.add_special_tokens([AddedToken("<mask>", normalized=False, special=True)])
    return tokenizer


def folder_of(path: Path, tokenizer: PreTrainedTokenizerFast) -> Path:
    torch.manual_seed(0)
    objective = TextObjective(build_preset(TINY, tokenizer, 32), tokenizer, has_head=True)
    objective.save(path, torch.float32)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_of_a_tokenizer_is_told_by_its_vocabulary(kind: str) -> None:
    lines = {"kmer": ["ACGTACGGTCA", "TTGACA"], "regex": ["c1ccccc1", "CC(=O)OC", "BrCCCl"]}.get(kind, LINES)
    assert find_kind(train_tokenizer(kind, lines * 3, 400, 32).backend_tokenizer) == kind


@pytest.mark.parametrize("keeps_space", [False, True])
def test_a_mask_is_read_alike_with_a_space_before_it_and_without(tmp_path: Path, keeps_space: bool) -> None:
    folder = folder_of(tmp_path / "model", bpe(keeps_space=keeps_space))
    assert keeps_space_before_mask(folder) == keeps_space
    handler = load_text(folder).tasks[Task.FILL_MASK]
    texts = ("The sky is [MASK].", "The sky is[MASK].", "The sky is  <mask>.")
    rows = [handler.prepare(FillMaskItem(text)).inputs.ids for text in texts]
    tokenizer = load_tokenizer(folder)
    assert tokenizer.convert_ids_to_tokens(rows[0]) == ["<s>", "The", "Ġsky", "Ġis", "<mask>", ".", "</s>"]
    assert rows[0] == rows[1] == rows[2]


def test_a_repaired_tokenizer_is_stored_as_repaired(tmp_path: Path) -> None:
    objective = load_text(folder_of(tmp_path / "old", bpe(keeps_space=True)))
    objective.save(tmp_path / "new", torch.float32)
    assert not keeps_space_before_mask(tmp_path / "new")
    (mask,) = [t for t in json.loads((tmp_path / "new" / "tokenizer.json").read_text())["added_tokens"] if t["id"] == 4]
    assert (mask["content"], mask["lstrip"]) == ("<mask>", True)


@pytest.mark.parametrize("architecture", ["bert", "roberta", "modernbert", "xlm-roberta", "albert"])
def test_tokenizers_of_others_stay_as_they_are(tmp_path: Path, architecture: str) -> None:
    assert not keeps_space_before_mask(tiny_text_folder(tmp_path, architecture))


def test_words_and_sequences_have_one_space(tmp_path: Path) -> None:
    objective = load_text(folder_of(tmp_path, bpe()))

    def fill(text: str, **options: Any) -> dict[str, str]:
        (mask,) = perform(objective.tasks[Task.FILL_MASK], [FillMaskItem(text, **options)])[0].masks
        assert text[mask.start : mask.end] == "[MASK]"
        return {each.token_str: each.sequence for each in mask.candidates}

    assert fill("The sky is [MASK].", targets=("blue", " white")) == {
        " blue": "The sky is blue.",
        " white": "The sky is white.",
    }
    assert fill("The sky is[MASK].", targets=("blue",)) == {" blue": "The sky is blue."}
    every = fill("[MASK] sky is blue.", top_k=400)
    assert (every["The"], every[" is"]) == ("The sky is blue.", "is sky is blue.")
    item = FillMaskItem("The [MASK] is [MASK].", targets=("sky", "blue"), num_sequences=4)
    pairs = perform(objective.tasks[Task.FILL_MASK], [item])[0].sequences
    assert pairs and {"The sky is blue.", "The blue is sky."} <= {pair.sequence for pair in pairs}


def test_a_target_is_the_likelier_of_its_spellings() -> None:
    tokenizer = train_tokenizer("bpe", ["is it so, or is it not: it is"] * 9, 300, 32)
    assert {"is", "Ġis"} <= tokenizer.get_vocab().keys()
    model = build_preset(TINY, tokenizer, 32)
    bias = model.get_output_embeddings().bias
    handler = TextObjective(model, tokenizer, has_head=True).tasks[Task.FILL_MASK]
    for token in ("is", "Ġis"):
        with torch.no_grad():
            bias.zero_()[tokenizer.convert_tokens_to_ids(token)] = 20.0
        for targets in (("is",), ("is", " is")):
            (mask,) = perform(handler, [FillMaskItem("[MASK] it", targets=targets)])[0].masks
            found = [(c.token_str, round(c.score, 2)) for c in mask.candidates]
            assert found == [(token.replace("Ġ", " "), 1.0)]


THAI = ["".join(random.Random(n).choices(["ภาษา", "ไทย", "แมว", "น้ำ", "ปลา", "สวย", "กิน"], k=60)) for n in range(40)]
DNA = ["".join(random.Random(n).choices("ACGT", k=300)) for n in range(40)]
CHINESE = ["".join(chr(0x4E00 + (31 * n + k) % 3000) for k in range(200)) for n in range(40)]


@pytest.mark.parametrize("lines", [THAI, DNA, CHINESE, [*LINES, "x" * 5000]], ids=["thai", "dna", "chinese", "mixed"])
@pytest.mark.parametrize("kind", ["wordpiece", "bpe"])
def test_new_tokenizers_write_all_of_their_text(kind: str, lines: list[str]) -> None:
    tokenizer = train_tokenizer(kind, lines, 8000, 128)
    assert find_unknown(tokenizer.backend_tokenizer, lines) == Unknown()
    characters = sum(map(len, lines))
    assert sum(map(len, tokenizer(lines, add_special_tokens=False)["input_ids"])) > characters / WORD_CHARS
    assert len(tokenizer) < 8000
    again = train_tokenizer(kind, lines, 8000, 128)
    assert again.get_vocab() == tokenizer.get_vocab()


def test_a_vocabulary_is_no_larger_than_asked_for() -> None:
    tokenizer = train_tokenizer("wordpiece", CHINESE, 500, 128)
    assert 490 < len(tokenizer) <= 500
    assert 0.7 < find_unknown(tokenizer.backend_tokenizer, CHINESE).share < 0.9


def test_what_is_unknown_is_counted_in_characters_and_shown() -> None:
    tokenizer = train_tokenizer("wordpiece", LINES, 400, 32)
    found = find_unknown(tokenizer.backend_tokenizer, ["The sky is Ωmega", "ж" * 45])
    assert found == Unknown(50 / 58, ("Ωmega", "ж" * 40 + "…"))
    assert found.describe() == f"86.2% of the text is unknown to the tokenizer, such as 'Ωmega', '{'ж' * 40}…'"
