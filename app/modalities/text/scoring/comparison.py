"""Several texts scored for one answer: the better one of a pair, and candidates ranked in a context."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import islice
from typing import Literal

from app.errors import AppError, InvalidValue, NoMask, TooManyMasks
from app.modalities.base import BatchRow, Steps
from app.modalities.text.encoding import TextEncoder
from app.modalities.text.items import MASK_ALIAS, ScoreItem, ScoreResult
from app.modalities.text.scoring.items import (
    CandidatesItem,
    CandidatesResult,
    PairItem,
    PairResult,
    PseudoLikelihood,
    RankBy,
    RankedCandidate,
)
from app.modalities.text.scoring.rows import RawScore, ScoreInputs

_AT_ONCE = 64  # texts whose rows are in memory at once, as of a request with so many inputs

TextSteps = Steps[ScoreInputs, RawScore, ScoreResult]
StartText = Callable[[ScoreItem], TextSteps]  # starts a text that takes one step


def compare_pair(item: PairItem, start: StartText) -> Steps[ScoreInputs, RawScore, PairResult]:
    """Scores both texts of a pair in one step."""
    named = [("good", item.good), ("bad", item.bad)]
    good, bad = yield from _score_all([(f"`{side}`", text) for side, text in named], start, "pairs")
    figures = PseudoLikelihood.of(good), PseudoLikelihood.of(bad)
    tokens = good.tokens + bad.tokens
    return PairResult(*figures, _prefer(good, bad, item.rank_by), tokens)


def _prefer(good: ScoreResult, bad: ScoreResult, rank_by: RankBy) -> Literal["good", "bad", "tie"]:
    """Equal tokens are a tie, though their figures may differ by rounding: rows of other batches are added up there."""
    if [token.token for token in good.scored] == [token.token for token in bad.scored]:
        return "tie"
    first, second = (PseudoLikelihood.of(each).merit(rank_by) for each in (good, bad))
    if first == second:
        return "tie"
    return "good" if first > second else "bad"


def rank_candidates(
    item: CandidatesItem, encoder: TextEncoder, max_length: int, start: StartText
) -> Steps[ScoreInputs, RawScore, CandidatesResult]:
    """Scores the context with each candidate in place of its mask. Raises what `_cut_at_mask` raises."""
    left, right = _cut_at_mask(item, encoder, max_length)
    return _rank(item, [replace(item.context, text=left + each + right) for each in item.candidates], start)


def _rank(
    item: CandidatesItem, texts: Sequence[ScoreItem], start: StartText
) -> Steps[ScoreInputs, RawScore, CandidatesResult]:
    named = [(f"`candidates` {index}", text) for index, text in enumerate(texts)]
    results = yield from _score_all(named, start, "candidates")
    figures = [PseudoLikelihood.of(result) for result in results]
    order = sorted(range(len(figures)), key=lambda index: -figures[index].merit(item.rank_by))
    ranked = [
        RankedCandidate(index, item.candidates[index], figures[index].log_likelihood, figures[index].pseudo_perplexity)
        for index in order
    ]
    return CandidatesResult(ranked, sum(result.tokens for result in results))


def _cut_at_mask(item: CandidatesItem, encoder: TextEncoder, max_length: int) -> tuple[str, str]:
    """Returns the context before and after its mask.

    Raises InputTooLong, NoMask, TooManyMasks, and InvalidValue for a candidate that holds a mask itself.
    """
    text = item.context.text
    encoder.shorten(text, max_length, truncate=False, side=item.context.truncation_side)
    masks = list(islice(encoder.mask_spans(text), 2))
    if not masks:
        raise NoMask(f"the input holds no mask: write {MASK_ALIAS} where the candidates belong", param="input")
    if len(masks) > 1:
        raise TooManyMasks("the input holds several masks; candidates are put in place of one", param="input")
    for index, candidate in enumerate(item.candidates):
        if encoder.mask_pattern.search(candidate):
            raise InvalidValue(f"`candidates` {index} holds a mask", param="candidates")
    ((begin, end),) = masks
    return text[:begin], text[end:]


def _score_all(
    named: Sequence[tuple[str, ScoreItem]], start: StartText, param: str
) -> Steps[ScoreInputs, RawScore, list[ScoreResult]]:
    """Scores texts, some of them a step. named: texts with the names that errors give them. param: of the errors."""
    results: list[ScoreResult] = []
    for first in range(0, len(named), _AT_ONCE):
        begun = [_start(name, text, start, param) for name, text in named[first : first + _AT_ONCE]]
        raws = iter((yield [row for _, rows in begun for row in rows]))
        results += [_finish(steps, islice(raws, len(rows))) for steps, rows in begun]
    return results


def _start(
    name: str, text: ScoreItem, start: StartText, param: str
) -> tuple[TextSteps, Sequence[BatchRow[ScoreInputs]]]:
    try:
        steps = start(text)
    except AppError as error:
        error.message, error.param = f"{name}: {error.message}", param
        raise
    return steps, next(steps)


def _finish(steps: TextSteps, raws: Iterable[RawScore]) -> ScoreResult:
    try:
        steps.send(list(raws))
    except StopIteration as end:
        result: ScoreResult = end.value
        return result
    raise RuntimeError("a text takes one step")
