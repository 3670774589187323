"""Tokenizers that cut a text with a regular expression and look the parts up in a vocabulary.

Models of chemistry publish a `vocab.txt` beside Python code that holds the expression. The same tokenizer as a
`tokenizer.json` needs no code.
"""

import json
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors

from app.errors import InvalidModel, InvalidValue
from app.methods.patterns import find_pattern

_ROLES = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}


def write_regex_tokenizer(folder: Path, pattern: str, target: Path) -> None:
    """Writes tokenizer.json and tokenizer_config.json into `target` for the vocab.txt of `folder`.

    pattern: a name of `PATTERNS`, or a regular expression whose matches are the tokens; text between matches is
    looked up as it is. Its repetitions are bounded as those of a job's tokenizer are, so matching takes linear time.

    Raises:
        InvalidModel: There is no usable vocabulary.
        InvalidValue: The pattern is not a regular expression, or one that is not supported.
    """
    cut = _splitter(pattern)
    file = folder / "vocab.txt"
    if not file.is_file():
        raise InvalidModel("a tokenizer by regular expression needs a vocab.txt, an entry on each line", param="source")
    entries = file.read_text(encoding="utf-8").splitlines()
    roles = {role: token for role, token in _roles(folder).items() if token in entries}
    if not {"unk_token", "mask_token"} <= roles.keys():
        raise InvalidModel("vocab.txt holds no unknown token or no mask token", param="source")
    vocabulary = {token: number for number, token in enumerate(entries)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=roles["unk_token"]))
    tokenizer.pre_tokenizer = cut
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens(list(roles.values()))
    if "cls_token" in roles and "sep_token" in roles:
        first, last = roles["cls_token"], roles["sep_token"]
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{first} $A {last}",
            pair=f"{first} $A {last} $B:1 {last}:1",
            special_tokens=[(first, vocabulary[first]), (last, vocabulary[last])],
        )
    tokenizer.save(str(target / "tokenizer.json"))
    config: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", **roles}
    (target / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def check_regex(pattern: str) -> None:
    """Raises InvalidValue for a pattern that `write_regex_tokenizer` does not take."""
    _splitter(pattern)


def _splitter(pattern: str) -> pre_tokenizers.PreTokenizer:
    try:
        return pre_tokenizers.Split(Regex(find_pattern(pattern)), "isolated")
    except InvalidValue as error:
        raise InvalidValue(error.message, param="tokenizer_regex") from error
    except Exception as error:  # the library's own
        raise InvalidValue(f"{pattern!r} is not a regular expression: {error}", param="tokenizer_regex") from error


def _roles(folder: Path) -> dict[str, str]:
    """The special tokens by role, as special_tokens_map.json has them; BERT's where it does not say."""
    file = folder / "special_tokens_map.json"
    try:
        given = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except ValueError as error:
        raise InvalidModel("special_tokens_map.json is not JSON", param="source") from error
    found = {role: given.get(role) for role in _ROLES}
    return {
        role: str(value["content"] if isinstance(value, dict) else value or _ROLES[role])
        for role, value in found.items()
    }
