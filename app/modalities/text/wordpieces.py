"""Between vocabulary entries and the words that a reader sees."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.errors import EmptyInput, InvalidValue
from app.modalities.text.encoding import TextEncoder
from app.modalities.text.items import MAX_WORD_TOKENS

Spellings = tuple[int, int]  # the tokens that write one word: behind a space, and without one; mostly the same
Tokens = tuple[int, ...]

_SHOWN = 8  # pieces of a word at fault that its error names


@dataclass(frozen=True)
class TargetTokens:
    """The tokens of the targets of a request.

    single: where each target is one token, their spellings, without repetition. several: else, of each target as given
    the ways of writing it.
    """

    single: tuple[Spellings, ...] = ()
    several: tuple[tuple[Tokens, ...], ...] = ()


class WordPieces:
    """One vocabulary's way of writing words: what begins one and what goes on with it.

    marks_starts: tokens that begin a word are marked, not those that go on with one.
    mask_eats_space: what fills a mask brings the space before it.
    """

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self.tokenizer = encoder.tokenizer
        backend = self.tokenizer.backend_tokenizer
        self._vocabulary: dict[str, int] = self.tokenizer.get_vocab()
        self._continuation: str | None = getattr(backend.model, "continuing_subword_prefix", None) or None
        self._special = frozenset(self.tokenizer.all_special_ids)
        self._mask_token, mask_id = encoder.mask
        mask = self.tokenizer.added_tokens_decoder[mask_id]
        # A byte-level vocabulary spells spaces. Where its mask swallows the one before it, what fills
        # the mask brings that space; where not, the space is a token of its own and stays.
        spaced = backend.decode(backend.encode(" a", add_special_tokens=False).ids)
        self._byte_level = self._continuation is None and spaced.startswith(" ")
        self.mask_eats_space = bool(mask.lstrip) or not self._byte_level
        self._last_targets: tuple[tuple[str, ...], int, TargetTokens] = ((), 0, TargetTokens())
        self._known: dict[int, tuple[str, str]] = {}  # at most the vocabulary: decoding takes 10 µs a token
        self._word_start = "Ġ" if self._byte_level else "▁"  # else SentencePiece's
        self.marks_starts = self._continuation is None and any(e.startswith(self._word_start) for e in self._vocabulary)

    def __deepcopy__(self, memo: object) -> "WordPieces":
        return self  # replicas of a model share it

    def find_targets(self, targets: tuple[str, ...], most: int = MAX_WORD_TOKENS) -> TargetTokens:
        """Returns the tokens of targets that have at most `most` each.

        The targets of one request are the same for all its items, so the last ones are kept.
        Raises EmptyInput, and InvalidValue for a target that has more or that the vocabulary cannot write.
        """
        known, most_known, found = self._last_targets
        if (targets, most) != (known, most_known):
            found = _collect([self.spell(target, most) for target in targets])
            self._last_targets = targets, most, found  # in one step, for there are many threads
        return found

    def spell(self, target: str, most: int = MAX_WORD_TOKENS) -> tuple[Tokens, ...]:
        """Returns the ways of writing a target at a mask: its tokens behind a space, and without one if they differ.

        A mask that takes the space before it does not tell ` blue` from `blue`, as at the start of a text.
        An exact vocabulary entry is one token. Raises as `find_targets`.
        """
        if not target.strip():
            raise EmptyInput("a target is empty", param="targets")
        spaced = self._byte_level and self.mask_eats_space
        ids = tuple(self._encoder.content_ids(f" {target.lstrip()}" if spaced else target))
        exact = self._vocabulary.get(target)
        written = bool(ids) and self.tokenizer.unk_token_id not in ids
        if exact is not None and not (written and len(ids) == 1):
            ids = (exact,)
        elif not written:
            raise InvalidValue(f"target {target[:60]!r} is not in this model's vocabulary", param="targets")
        self._check_length(target, ids, most)
        if not spaced:
            return (ids,)
        if len(ids) == 1:
            return ids, (ids[0] if exact is None else exact,)
        return ids, tuple(self._encoder.content_ids(target.strip()))

    def _check_length(self, target: str, ids: Tokens, most: int) -> None:
        if len(ids) > most:
            pieces = ", ".join(repr(piece) for piece in self.tokenizer.convert_ids_to_tokens(list(ids[:_SHOWN])))
            pieces += ", …" if len(ids) > _SHOWN else ""
            bound = "must be one" if most == 1 else f"may have {most}"
            raise InvalidValue(
                f"target {target[:60]!r} is {len(ids)} tokens in this vocabulary ({pieces}); a target {bound}",
                param="targets",
            )

    def letters(self, token: int) -> str:
        """The token without the mark that says whether it begins a word."""
        if self._byte_level:
            return self.decoded(token).strip()
        piece = str(self.tokenizer.convert_ids_to_tokens(token) or "")
        return piece.removeprefix(self._continuation or self._word_start)

    def decoded(self, token: int) -> str:
        """The token decoded alone."""
        return self._written(token)[1]

    def decoded_all(self, tokens: Sequence[int]) -> str:
        """The tokens decoded together, without special ones."""
        shown = [token for token in tokens if token not in self._special]
        return self.decoded(shown[0]) if len(shown) == 1 else str(self.tokenizer.decode(shown))

    def filled(self, left: str, right: str, *tokens: int, word: str | None = None) -> str:
        """The text with a mask between `left` and `right` replaced by tokens.

        word: how they are written; by default, as the tokenizer decodes them.
        Everything else stays as the user wrote it. A token that goes on with a word is joined to
        the word before it, one that begins a word is kept apart from it.
        """
        first = next((token for token in tokens if token not in self._special), None)
        if first is None:
            return left + right
        piece = self._written(first)[0]
        word = self.decoded_all(tokens) if word is None else word
        if self._continuation is not None:  # WordPiece
            if piece.startswith(self._continuation):
                return left.rstrip() + word.removeprefix(self._continuation) + right
            return left + word + right
        if not self.mask_eats_space or not self.marks_starts:  # k-mers and letters go on with no word
            return left + word + right
        if not piece.startswith(self._word_start):
            return left.rstrip() + word + right
        apart = " " if left and not left[-1].isspace() else ""
        return left + apart + word.lstrip() + right

    def _written(self, token: int) -> tuple[str, str]:
        """The vocabulary's spelling of a token, and the token decoded alone."""
        known = self._known.get(token)
        if known is None:
            piece = str(self.tokenizer.convert_ids_to_tokens(token) or "")  # padded vocabularies have nameless ids
            known = self._known[token] = piece, str(self.tokenizer.decode([token]))
        return known


def _collect(spelled: Sequence[tuple[Tokens, ...]]) -> TargetTokens:
    if any(len(ways[0]) > 1 for ways in spelled):
        return TargetTokens(several=tuple(tuple(dict.fromkeys(ways)) for ways in spelled))
    single: dict[int, Spellings] = {}
    for ways in spelled:
        single.setdefault(ways[0][0], (ways[0][0], ways[-1][0]))
    return TargetTokens(single=tuple(single.values()))
