"""The special tokens around a text, or around and between two texts, with the types of all tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Encoding, Tokenizer


@dataclass(frozen=True)
class TypedIds:
    """The token ids that the model reads as one text, and the type of each (`token_type_ids`)."""

    ids: list[int]
    types: list[int]


@dataclass(frozen=True)
class Template:
    """fillers: the special tokens before, between and after the texts. types: of the tokens of each text."""

    fillers: tuple[TypedIds, ...]
    types: tuple[int, ...]

    @property
    def added(self) -> int:
        """The number of special tokens."""
        return sum(len(filler.ids) for filler in self.fillers)

    def fill(self, texts: Sequence[Sequence[int]]) -> TypedIds:
        """Puts the special tokens around the texts' ids."""
        ids, types = list(self.fillers[0].ids), list(self.fillers[0].types)
        for text, type_, filler in zip(texts, self.types, self.fillers[1:], strict=True):
            ids += [*text, *filler.ids]
            types += [*[type_] * len(text), *filler.types]
        return TypedIds(ids, types)


def find_template(backend: Tokenizer, example: str, *, pair: bool) -> Template:
    """Returns what a tokenizer does to a text, or to a pair. example: a text that has a token."""
    encoding = backend.encode(example, example) if pair else backend.encode(example)
    content = [
        [
            place
            for place, (sequence, special) in enumerate(
                zip(encoding.sequence_ids, encoding.special_tokens_mask, strict=True)
            )
            if sequence == number and not special
        ]
        for number in range(1 + pair)
    ]
    bounds = [0, *(bound for places in content for bound in (places[0], places[-1] + 1)), len(encoding.ids)]
    fillers = tuple(_part(encoding, *bounds[i : i + 2]) for i in range(0, len(bounds), 2))
    return Template(fillers, tuple(encoding.type_ids[places[0]] for places in content))


def _part(encoding: Encoding, start: int, stop: int) -> TypedIds:
    return TypedIds(encoding.ids[start:stop], encoding.type_ids[start:stop])


def share_room(lengths: Sequence[int], room: int) -> list[int]:
    """Returns how many tokens of one or two texts are kept, as `longest_first` truncation of transformers does."""
    if sum(lengths) <= room or len(lengths) == 1:
        return [min(length, room) for length in lengths]
    shorter = min(lengths)
    longer = max(shorter, room - shorter)
    if shorter + longer > room:
        shorter, longer = room // 2, room - room // 2
    return [shorter, longer] if lengths[0] <= lengths[1] else [longer, shorter]
