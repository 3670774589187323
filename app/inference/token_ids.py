"""Inputs that are token ids: which vocabulary they are of, and their text."""

import codecs
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeVar

from app.errors import InvalidValue

_CONTINUES = range(0x80, 0xC0)  # bytes of UTF-8 that begin no character
_REMEDY = (
    "Token ids of another vocabulary give a wrong vector without an error, so they are refused. Send the text; with"
    " LangChain's OpenAIEmbeddings, set check_embedding_ctx_length=False. If the ids are of this model's own"
    ' vocabulary, send "token_ids": true'
)


class Encoding(Protocol):
    """An encoding of tiktoken, as far as it is used."""

    @property
    def n_vocab(self) -> int: ...

    def decode_bytes(self, tokens: Sequence[int]) -> bytes: ...


class HasTokenIds(Protocol):
    """An item whose input may be token ids. token_ids: whether the client says that they are the model's own."""

    @property
    def input(self) -> object: ...

    @property
    def token_ids(self) -> bool: ...


Item = TypeVar("Item", bound=HasTokenIds)


@dataclass(frozen=True)
class TokenIdReader:
    """Decides about token ids for which the client does not say that they are the model's own.

    accept: takes them for the model's own. encoding: whose ids they are otherwise; None refuses them.
    """

    accept: bool = False
    encoding: Encoding | None = None

    def read(self, item: Item, param: str) -> Item:
        """Returns the item, with ids of `encoding` decoded to text. Raises InvalidValue."""
        if not isinstance(item.input, tuple) or item.token_ids or self.accept:
            return item
        if self.encoding is None:
            raise InvalidValue(f"`{param}` holds token ids. {_REMEDY}", param=param)
        return replace(item, input=_decode(self.encoding, item.input, param))  # type: ignore[type-var]


def _decode(encoding: Encoding, ids: Sequence[int], param: str) -> str:
    """Returns the text of ids. A client that cuts long texts may cut a character: the rest of it is left out."""
    try:
        content = encoding.decode_bytes(ids)
    except (KeyError, OverflowError) as error:  # as tiktoken names an id that it does not have
        raise InvalidValue(f"`{param}` holds an id that is not one of OpenAI's vocabulary", param=param) from error
    begin = next((at for at, byte in enumerate(content[:4]) if byte not in _CONTINUES), 0)
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(content[begin:])
    except UnicodeDecodeError as error:
        raise InvalidValue(f"`{param}` holds token ids that are no text", param=param) from error


def build_reader(policy: Literal["refuse", "model", "cl100k_base"]) -> TokenIdReader:
    """Returns the reader for `CLOZE_TOKEN_IDS`. Raises InvalidValue where tiktoken or its vocabulary is missing."""
    if policy != "cl100k_base":
        return TokenIdReader(accept=policy == "model")
    try:
        import tiktoken
    except ImportError as error:
        raise InvalidValue("CLOZE_TOKEN_IDS=cl100k_base needs tiktoken: pip install 'cloze[tiktoken]'") from error
    try:
        return TokenIdReader(encoding=tiktoken.get_encoding(policy))
    except Exception as error:  # whatever its download raises
        raise InvalidValue(
            f"tiktoken cannot read the vocabulary {policy}: {error}. Put its file into TIKTOKEN_CACHE_DIR"
        ) from error
