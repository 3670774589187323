"""Prompts: texts that go before the texts that are embedded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from app.errors import InvalidModel, InvalidValue
from app.modalities.embedding import EmbedItem, find_prompt
from app.modalities.text.encoding import TextEncoder
from app.types import InputType

_MEASURED = 64  # prompts of requests whose lengths are kept

# Names that models give to the prompt of a kind, the usual one first. Upper and lower case are not told apart.
# sentence-transformers' encode_query and encode_document look for `query`, and for `document`, `passage` and `corpus`.
_NAMES: Mapping[InputType, Sequence[str]] = {
    InputType.QUERY: ("query", "search_query", "retrieval.query", "s2p_query", "retrieval-query"),
    InputType.DOCUMENT: ("document", "passage", "corpus", "search_document", "retrieval.passage", "retrieval-document"),
    InputType.CLASSIFICATION: ("classification",),
    InputType.CLUSTERING: ("clustering", "separation"),
    InputType.SIMILARITY: ("similarity", "sts", "text-matching", "s2s_query"),
}


@dataclass(frozen=True)
class Prompt:
    """A text that goes before others. length: of its tokens, with the special ones before it; 0 if it is pooled."""

    text: str = ""
    length: int = 0


class Prompts:
    """The prompts of a model, and the choice between them for an item.

    given: texts by name. default: the name of the one that goes before every text. pooled: whether the tokens of a
    prompt are pooled with those of the text, so that nobody needs its length. max_length: tokens that the model reads.
    Raises InvalidModel for a prompt that is too long.
    """

    def __init__(
        self, encoder: TextEncoder, given: Mapping[str, str], default: str | None, *, pooled: bool, max_length: int
    ) -> None:
        self._encoder, self._pooled, self._max_length = encoder, pooled, max_length
        self._measure = lru_cache(_MEASURED)(self._count)
        for text in given.values():
            if (length := self._count(text)) >= max_length:
                raise InvalidModel(f"the prompt of the model has {length} tokens, and it embeds {max_length} at most")
        self._given = {name: self._make(text) for name, text in given.items()}
        self._default = default
        self._by_type = {kind: self._find(names) for kind, names in _NAMES.items()}

    def __deepcopy__(self, memo: object) -> "Prompts":
        return self  # replicas of a model share it

    def choose(self, item: EmbedItem) -> Prompt:
        """Returns the prompt of an item: its own text, else the named one, else that of its kind, else the default.

        As in sentence-transformers, a kind that the model has no prompt for means no prompt, not the default.
        Raises InvalidValue for a name that the model does not have, a prompt that is too long, and token ids with one.
        """
        if item.prompt is not None and item.prompt_name is not None:
            raise InvalidValue("prompt and prompt_name cannot be combined: send one of them", param="prompt_name")
        if not isinstance(item.input, str):
            return self._for_token_ids(item)
        if item.prompt is not None:
            return self._own(item.prompt)
        if item.prompt_name is not None:
            return find_prompt(self._given, item.prompt_name)
        if item.input_type is not None:
            return self._by_type[item.input_type]
        return Prompt() if self._default is None else self._given[self._default]

    def _for_token_ids(self, item: EmbedItem) -> Prompt:
        of_type = self._by_type[item.input_type].text if item.input_type else ""
        asked = {"prompt": item.prompt, "prompt_name": item.prompt_name, "input_type": of_type}
        param = next((name for name, value in asked.items() if value), None)
        if param is not None:
            raise InvalidValue("token ids are read as they are, without a prompt", param=param)
        return Prompt()

    def _own(self, text: str) -> Prompt:
        length = self._measure(text)
        if length >= self._max_length:
            raise InvalidValue(
                f"the prompt has {length} tokens, and the model reads {self._max_length} at most", param="prompt"
            )
        return self._make(text)

    def _find(self, names: Sequence[str]) -> Prompt:
        """Returns the first prompt of these names that is not empty."""
        by_name = {name.lower(): prompt for name, prompt in self._given.items()}
        return next((by_name[name] for name in names if name in by_name and by_name[name].text), Prompt())

    def _make(self, text: str) -> Prompt:
        return Prompt(text, 0 if self._pooled else self._measure(text))

    def _count(self, prompt: str) -> int:
        """Counts tokens as sentence-transformers does: with what precedes them, without one special token after."""
        ids = [token.id for token in self._encoder.tokens(prompt, add_special_tokens=True)]
        if not prompt or not ids:
            return 0
        return len(ids) - (ids[-1] in self._encoder.tokenizer.all_special_ids)
