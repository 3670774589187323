"""Tokenizers that transformers has in Python only, as fast ones of the same ids."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES
from transformers.models.bert.tokenization_bert_legacy import BertTokenizerLegacy

from app.errors import InvalidModel
from app.modalities.model_files import read_json
from app.modalities.text.slow_converters import CONVERTERS

SAMPLES, _LONGEST = 200, 40  # texts that both forms are compared on, and pieces in each
_ROLES = ("unk_token", "cls_token", "pad_token", "mask_token", "eos_token", "bos_token", "sep_token")
_MARKS = ("##", "@@")  # of entries that are parts of a word; texts have them without
_FOREIGN = ("☃", "é", "É", "中", "文", "\n", "\t", "?", "'", "-", "n/a")

# Classes that treat a text as BERT's, and need libraries or files for tables and the looks of characters.
_LIKE_BERT = {"RoCBertTokenizer", "TapasTokenizer"}
# Classes that use a library of Python for texts, and what it does.
_OF_LIBRARIES = {
    "BertJapaneseTokenizer": "splits words with a Japanese dictionary (MeCab, Sudachi or Juman++)",
    "FlaubertTokenizer": "splits words by the rules of Moses (sacremoses)",
    "RoFormerTokenizer": "splits words with a Chinese dictionary (rjieba)",
    "XLMTokenizer": "splits words by the rules of Moses (sacremoses)",
}


def tokenizer_class(folder: Path) -> str:
    """The name of a folder's class of tokenizer, without the ending of its fast form."""
    for file in (folder / "tokenizer_config.json", folder / "config.json"):
        if file.is_file() and isinstance(named := read_json(file).get("tokenizer_class"), str):
            return named.removesuffix("Fast")
    return str(TOKENIZER_MAPPING_NAMES.get(str(read_json(folder / "config.json").get("model_type"))))


def tokenizer_reader(folder: Path) -> Any:
    """The class of transformers that reads a folder's tokenizer.

    Raises InvalidModel for tokenizers that no tokenizer.json can replace.
    """
    name = tokenizer_class(folder)
    if name in _OF_LIBRARIES:
        raise InvalidModel(f"{name} {_OF_LIBRARIES[name]}, which a fast tokenizer (tokenizer.json) cannot do")
    return BertTokenizerLegacy if name in _LIKE_BERT else AutoTokenizer


def make_fast(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerFast:
    """The fast form of a tokenizer, compared with it on a sample. Raises InvalidModel where none is known or exact."""
    name = type(tokenizer).__name__
    if name not in CONVERTERS:
        raise InvalidModel(f"{name} has no fast form (tokenizer.json)")
    roles = {role: getattr(tokenizer, role) for role in _ROLES if getattr(tokenizer, role) is not None}
    fast = PreTrainedTokenizerFast(
        tokenizer_object=CONVERTERS[name](tokenizer, roles),
        model_max_length=tokenizer.model_max_length,
        model_input_names=tokenizer.model_input_names,
        **roles,
    )
    for text in _sample(list(tokenizer.get_vocab())):
        if tokenizer(text)["input_ids"] != fast(text)["input_ids"]:
            raise InvalidModel(f"{name} has no fast form (tokenizer.json), and none that is made of it is exact")
    return fast


def _sample(entries: list[str]) -> Iterator[str]:
    """Texts of entries, white space and letters that most vocabularies lack."""
    rng = random.Random(0)  # noqa: S311 - a sample, the same every time
    bare = [entry.removeprefix(_MARKS[0]).removesuffix(_MARKS[1]) for entry in entries if entry.strip("@#")]
    pieces = [*entries, *bare, *([" "] * max(1, len(entries) // 5)), *_FOREIGN]
    for _ in range(SAMPLES):
        text = "".join(rng.choices(pieces, k=rng.randint(1, _LONGEST)))
        if text.strip():
            yield text
