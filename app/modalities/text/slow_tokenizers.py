"""Tokenizers that transformers has in Python only, as fast ones of the same ids."""

import random
from collections.abc import Callable, Iterator
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import EsmTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from app.errors import InvalidModel

_SAMPLES, _LONGEST = 200, 40  # texts that both forms are compared on, and entries in each
_ROLES = ("unk_token", "cls_token", "pad_token", "mask_token", "eos_token", "bos_token", "sep_token")


def make_fast(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerFast:
    """The fast form of a tokenizer, compared with it on a sample. Raises InvalidModel where none is known or exact."""
    name = type(tokenizer).__name__
    if name not in _CONVERTERS:
        raise InvalidModel(f"{name} has no fast form (tokenizer.json)")
    roles = {role: getattr(tokenizer, role) for role in _ROLES if getattr(tokenizer, role) is not None}
    fast = PreTrainedTokenizerFast(
        tokenizer_object=_CONVERTERS[name](tokenizer, roles), model_max_length=tokenizer.model_max_length, **roles
    )
    for text in _sample(list(tokenizer.get_vocab())):
        if tokenizer(text)["input_ids"] != fast(text)["input_ids"]:
            raise InvalidModel(f"{name} has no fast form (tokenizer.json), and none that is made of it is exact")
    return fast


def _convert_esm(tokenizer: Any, roles: dict[str, str]) -> Tokenizer:
    """Longest entries first, at any place; what lies between entries is one unknown token."""
    vocabulary = {entry: number for number, entry in enumerate(tokenizer.all_tokens)}
    fast = Tokenizer(models.WordLevel(vocabulary, unk_token=roles["unk_token"]))
    entries = "|".join(map(_escape, sorted(vocabulary, key=len, reverse=True)))
    fast.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Split(Regex(entries), "isolated")]
    )
    fast.decoder = decoders.Fuse()
    fast.add_special_tokens(list(roles.values()))
    first, last = roles["cls_token"], roles["eos_token"]
    fast.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} $B:1 {last}:1",
        special_tokens=[(first, vocabulary[first]), (last, vocabulary[last])],
    )
    return fast


def _escape(entry: str) -> str:
    """An entry as a pattern of Oniguruma."""
    return "".join(letter if letter.isalnum() else f"\\{letter}" for letter in entry)


def _sample(entries: list[str]) -> Iterator[str]:
    """Texts of entries, white space and letters that no vocabulary has."""
    rng = random.Random(0)  # noqa: S311 - a sample, the same every time
    pieces = [*entries, *([" "] * max(1, len(entries) // 10)), "☃", "é"]
    for _ in range(_SAMPLES):
        text = "".join(rng.choices(pieces, k=rng.randint(1, _LONGEST)))
        if text.strip():
            yield text


_CONVERTERS: dict[str, Callable[[Any, dict[str, str]], Tokenizer]] = {EsmTokenizer.__name__: _convert_esm}
