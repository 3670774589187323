"""Between vocabulary entries and the words that a reader sees."""

from collections.abc import Sequence

from app.errors import EmptyInput, InvalidValue
from app.modalities.text.encoding import TextEncoder

Spellings = tuple[int, int]  # the tokens that write one word: behind a space, and without one; mostly the same

_SHOWN = 8  # pieces of a word at fault that its error names


class WordPieces:
    """One vocabulary's way of writing words: what begins one and what goes on with it."""

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self._tokenizer = encoder.tokenizer
        backend = self._tokenizer.backend_tokenizer
        self._vocabulary: dict[str, int] = self._tokenizer.get_vocab()
        self._continuation: str | None = getattr(backend.model, "continuing_subword_prefix", None) or None
        self._special = frozenset(self._tokenizer.all_special_ids)
        self._mask_token, mask_id = encoder.mask
        mask = self._tokenizer.added_tokens_decoder[mask_id]
        # A byte-level vocabulary spells spaces. Where its mask swallows the one before it, what fills
        # the mask brings that space; where not, the space is a token of its own and stays.
        spaced = backend.decode(backend.encode(" a", add_special_tokens=False).ids)
        self._byte_level = self._continuation is None and spaced.startswith(" ")
        self._mask_eats_space = bool(mask.lstrip) or not self._byte_level
        self._last_targets: tuple[tuple[str, ...], tuple[Spellings, ...]] = ((), ())
        self._known: dict[int, tuple[str, str]] = {}  # at most the vocabulary: decoding takes 10 µs a token
        self._word_start = "Ġ" if self._byte_level else "▁"  # else SentencePiece's

    def __deepcopy__(self, memo: object) -> "WordPieces":
        return self  # replicas of a model share it

    def target_ids(self, targets: tuple[str, ...]) -> tuple[Spellings, ...]:
        """Spellings of each target, without repetition.

        The targets of one request are the same for all its items, so the last ones are kept.
        """
        known, ids = self._last_targets
        if targets != known:
            found: dict[int, Spellings] = {}
            for spellings in map(self._spellings, targets):
                found.setdefault(spellings[0], spellings)
            ids = tuple(found.values())
            self._last_targets = targets, ids  # in one step, for there are many threads
        return ids

    def _spellings(self, target: str) -> Spellings:
        """A mask that takes the space before it does not tell ` blue` from `blue`, as at the start of a text."""
        token = self.target_id(target)
        spaced = self._byte_level and self._mask_eats_space
        return token, self._vocabulary.get(target, token) if spaced else token

    def target_id(self, target: str) -> int:
        """The one token of a word, as it would be written at a mask, or an exact vocabulary entry.

        Raises InvalidValue for a word of several tokens and for one outside the vocabulary.
        """
        if not target.strip():
            raise EmptyInput("a target is empty", param="targets")
        spaced = self._byte_level and self._mask_eats_space
        ids = self._encoder.content_ids(f" {target.lstrip()}" if spaced else target)
        if len(ids) == 1 and ids[0] != self._tokenizer.unk_token_id:
            return ids[0]
        exact = self._vocabulary.get(target)
        if exact is not None:
            return exact
        if len(ids) > 1 and self._tokenizer.unk_token_id not in ids:
            pieces = ", ".join(repr(piece) for piece in self._tokenizer.convert_ids_to_tokens(ids[:_SHOWN]))
            pieces += ", …" if len(ids) > _SHOWN else ""
            raise InvalidValue(
                f"target {target[:60]!r} is {len(ids)} tokens in this vocabulary ({pieces}); a target must be one",
                param="targets",
            )
        raise InvalidValue(f"target {target[:60]!r} is not in this model's vocabulary", param="targets")

    def decoded(self, token: int) -> str:
        """The token decoded alone."""
        return self._written(token)[1]

    def decoded_all(self, tokens: Sequence[int]) -> str:
        """The tokens decoded together, without special ones."""
        shown = [token for token in tokens if token not in self._special]
        return self.decoded(shown[0]) if len(shown) == 1 else str(self._tokenizer.decode(shown))

    def filled(self, left: str, right: str, *tokens: int) -> str:
        """The text with a mask between `left` and `right` replaced by tokens.

        Everything else stays as the user wrote it. A token that goes on with a word is joined to
        the word before it, one that begins a word is kept apart from it.
        """
        first = next((token for token in tokens if token not in self._special), None)
        if first is None:
            return left + right
        piece, word = self._written(first)[0], self.decoded_all(tokens)
        if self._continuation is not None:  # WordPiece
            if piece.startswith(self._continuation):
                return left.rstrip() + word.removeprefix(self._continuation) + right
            return left + word + right
        if not self._mask_eats_space:
            return left + word + right
        if not piece.startswith(self._word_start):
            return left.rstrip() + word + right
        apart = " " if left and not left[-1].isspace() else ""
        return left + apart + word.lstrip() + right

    def _written(self, token: int) -> tuple[str, str]:
        """The vocabulary's spelling of a token, and the token decoded alone."""
        known = self._known.get(token)
        if known is None:
            piece = str(self._tokenizer.convert_ids_to_tokens(token) or "")  # padded vocabularies have nameless ids
            known = self._known[token] = piece, str(self._tokenizer.decode([token]))
        return known
