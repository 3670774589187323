"""Several searches at once, whose rows share steps."""

from collections.abc import Generator, Sequence
from itertools import islice
from typing import TypeVar

from app.modalities.base import BatchRow
from app.modalities.text.filling.rows import FillMaskInputs, Raw

Found = TypeVar("Found")


def run_together(
    searches: Sequence[Generator[Sequence[BatchRow[FillMaskInputs]], Sequence[Raw], Found]],
) -> Generator[Sequence[BatchRow[FillMaskInputs]], Sequence[Raw], list[Found]]:
    """Returns the result of each search, in order. A step has the rows of all that have not ended."""
    asked: dict[int, Sequence[BatchRow[FillMaskInputs]]] = {}
    found: dict[int, Found] = {}

    def advance(index: int, raws: Sequence[Raw] | None) -> None:
        try:
            asked[index] = next(searches[index]) if raws is None else searches[index].send(raws)
        except StopIteration as end:
            found[index] = end.value

    for index in range(len(searches)):
        advance(index, None)
    while asked:
        rows, asked = asked, {}
        raws = iter((yield [row for each in rows.values() for row in each]))
        for index, each in rows.items():
            advance(index, list(islice(raws, len(each))))
    return [found[index] for index in range(len(searches))]
