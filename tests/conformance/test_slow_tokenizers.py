"""Tokenizers that transformers has in Python only become fast ones of the same ids, or are refused with the reason."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer
from transformers.models.bert.tokenization_bert_legacy import BertTokenizerLegacy

from app.errors import InvalidModel
from app.modalities.text.items import FillMaskItem
from app.modalities.text.load import load_text
from app.modalities.text.objective import TextObjective
from app.store.store import ModelStore
from app.types import Task
from tests.conformance.text_types import VOCABULARY, build_model, expect
from tests.fakes.imports import import_folder
from tests.fakes.perform import perform

ESM_ENTRIES = ["<cls>", "<pad>", "<eos>", "<unk>", *"LAGVSERTIDPKQNFYMHWCXBUZO", ".", "-", "<null_1>", "<mask>"]


def esm_folder(folder: Path) -> Path:
    """ESM-2 as it is published: its tokenizer is a list of entries and Python code of transformers."""
    special = {"pad_token_id": 1, "mask_token_id": 32, "cls_token_id": 0, "eos_token_id": 2}
    build_model("esm", vocab_size=len(ESM_ENTRIES), **special).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(ESM_ENTRIES))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "EsmTokenizer"}))
    return folder


@pytest.mark.parametrize("text", ["MKTVRQ", "M K T", "mkt", "MK<mask>VR-X.", "MK☃☃T é", "<null_1>MK"])
def test_a_tokenizer_of_python_code_becomes_a_fast_one(text: str, tmp_path: Path) -> None:
    folder = esm_folder(tmp_path)
    served = load_text(folder)
    expected = AutoTokenizer.from_pretrained(folder)(text)["input_ids"]
    assert [token.id for token in served.tokenize(text)] == expected


def test_esm_fills_masks_and_keeps_its_tokenizer(tmp_path: Path) -> None:
    served = load_text(esm_folder(tmp_path / "esm"))
    [result] = perform(served.tasks[Task.FILL_MASK], [FillMaskItem("MKT<mask>RQL")])
    token, score = expect(tmp_path / "esm", served, "MKT<mask>RQL")[0]
    assert result.masks[0].candidates[0].token == token
    assert result.masks[0].candidates[0].score == pytest.approx(score, rel=1e-3)
    [residues] = perform(served.tasks[Task.FILL_MASK], [FillMaskItem("MKT[MASK]RQL", targets=("A", "V"))])
    assert {each.sequence for each in residues.masks[0].candidates} == {"MKTARQL", "MKTVRQL"}
    served.save(tmp_path / "saved", torch.float32)
    assert (tmp_path / "saved" / "tokenizer.json").is_file()
    again = perform(load_text(tmp_path / "saved").tasks[Task.FILL_MASK], [FillMaskItem("MKT<mask>RQL")])
    assert again[0].masks[0].candidates[0].token == token


def ids_of(served: TextObjective, text: str) -> list[int]:
    return [token.id for token in served.tokenize(text)]


def test_an_import_writes_the_fast_form(tmp_path: Path) -> None:
    """Later loads convert nothing, and transformers itself reads the stored tokenizer as a fast one."""
    source = esm_folder(tmp_path / "esm")
    entry = import_folder(ModelStore(tmp_path / "store"), source, "m")
    assert "tokenizer.json" in entry.manifest.files
    assert "The tokenizer (EsmTokenizer) was converted" in (entry.path / "README.md").read_text()
    stored = AutoTokenizer.from_pretrained(entry.path)
    assert stored.is_fast
    assert stored("MK<mask>VR")["input_ids"] == AutoTokenizer.from_pretrained(source)("MK<mask>VR")["input_ids"]
    assert not (source / "tokenizer.json").exists()
    assert json.loads((source / "tokenizer_config.json").read_text()) == {"tokenizer_class": "EsmTokenizer"}


WORDPIECES = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "[EMPTY]",
    "the",
    "lion",
    "##s",
    "cafe",
    "café",
    "?",
    "中",
    "'",
    "T",
]


def wordpiece_folder(folder: Path, model_type: str, tokenizer_class: str, **config: Any) -> Path:
    build_model(model_type).save_pretrained(folder)
    entries = [*WORDPIECES, *(f"word{n}" for n in range(VOCABULARY - len(WORDPIECES)))]
    (folder / "vocab.txt").write_text("\n".join(entries))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": tokenizer_class, **config}))
    return folder


@pytest.mark.parametrize(
    "config", [{}, {"do_lower_case": False}, {"strip_accents": False}, {"tokenize_chinese_chars": False}]
)
@pytest.mark.parametrize(
    ("model_type", "tokenizer_class"),
    [("tapas", "TapasTokenizer"), ("roc_bert", "RoCBertTokenizer"), ("bert", "BertTokenizerLegacy")],
)
def test_wordpiece_in_python(model_type: str, tokenizer_class: str, config: dict[str, Any], tmp_path: Path) -> None:
    folder = wordpiece_folder(tmp_path, model_type, tokenizer_class, **config)
    served, expected = load_text(folder), BertTokenizerLegacy(str(folder / "vocab.txt"), **config)
    for text in ("The lions' café?", "CAFÉ\nthe 中lion 中中", "the [MASK] word1☃", "T the\tlion"):
        assert ids_of(served, text) == expected(text)["input_ids"]
    assert Task.FILL_MASK in served.tasks


def fast_bpe_folder(folder: Path, tokenizer_class: str, *, complete: bool = True, **config: Any) -> Path:
    """PhoBERT's and BERTweet's files: entries with counts, and merges with counts."""
    build_model("roberta", vocab_size=20).save_pretrained(folder)
    pieces = ["l@@", "i", "o@@", "n", "n@@", "s", "li@@", "a", "lion", "lion@@", *(["on", "on@@"] if complete else [])]
    (folder / "vocab.txt").write_text("".join(f"{piece} {9 - number}\n" for number, piece in enumerate(pieces)))
    merges = ["l i", "o n</w>", "o n", "li on</w>", "li on"]
    letters = ["i@@"]
    (folder / "vocab.txt").open("a").write("".join(f"{piece} 1\n" for piece in letters))
    (folder / "bpe.codes").write_text("".join(f"{merge} {9 - number}\n" for number, merge in enumerate(merges)))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": tokenizer_class, **config}))
    return folder


@pytest.mark.parametrize("tokenizer_class", ["PhobertTokenizer", "BertweetTokenizer"])
@pytest.mark.parametrize("text", ["lion lions", "a li ☃ lia", "<mask> lion\nlion  a", "lionlion\n\na", "a<mask>lions"])
def test_fast_bpe(tokenizer_class: str, text: str, tmp_path: Path) -> None:
    folder = fast_bpe_folder(tmp_path, tokenizer_class)
    served = load_text(folder)
    assert ids_of(served, text) == AutoTokenizer.from_pretrained(folder)(text)["input_ids"]
    assert served.tokenizer.decode(served.encoder.content_ids("lions a lion")) == "lions a lion"


@pytest.mark.parametrize(
    ("tokenizer_class", "options", "message"),
    [
        ("PhobertTokenizer", {"complete": False}, "its merges make 2 parts of words that its vocabulary lacks"),
        ("BertweetTokenizer", {"normalization": True}, "BertweetTokenizer rewrites tweets"),
    ],
)
def test_fast_bpe_that_is_not_exact_is_refused(
    tokenizer_class: str, options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidModel, match=message):
        load_text(fast_bpe_folder(tmp_path, tokenizer_class, **options))


@pytest.mark.parametrize(
    ("model_type", "tokenizer_class", "reason"),
    [
        ("xlm", "XLMTokenizer", "rules of Moses"),
        ("flaubert", "FlaubertTokenizer", "rules of Moses"),
        ("roformer", "RoFormerTokenizer", "Chinese dictionary"),
        ("roformer", "RoFormerTokenizerFast", "Chinese dictionary"),
        ("bert", "BertJapaneseTokenizer", "Japanese dictionary"),
    ],
)
@pytest.mark.parametrize("says_so", [True, False])
def test_tokenizers_of_libraries_are_refused_with_the_reason(
    model_type: str, tokenizer_class: str, reason: str, says_so: bool, tmp_path: Path
) -> None:
    folder = wordpiece_folder(tmp_path, model_type, tokenizer_class)
    if not says_so and model_type != "bert":
        (folder / "tokenizer_config.json").unlink()
    with pytest.raises(InvalidModel, match=rf"{tokenizer_class.removesuffix('Fast')} splits words .*{reason}"):
        load_text(folder)
