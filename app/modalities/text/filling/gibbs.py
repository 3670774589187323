"""Masks filled together by Gibbs sampling (Wang & Cho 2019, https://aclanthology.org/W19-2304)."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace

import numpy as np

from app.modalities.base import BatchRow
from app.modalities.text.filling.beam import Filling
from app.modalities.text.filling.rows import FillMaskInputs, Raw, read_log_probs

SWEEPS = 10  # after each mask has been filled for the first time


def sample(
    ids: list[int],
    masks: Sequence[int],
    chains: int,
    seed: int,
    row: Callable[[list[int], int, float], BatchRow[FillMaskInputs]],
) -> Generator[Sequence[BatchRow[FillMaskInputs]], Sequence[Raw], list[Filling]]:
    """Returns the different last states of chains; `log_prob` is of the draws of the last sweep.

    masks: positions in `ids`, in the order in which they are drawn. row: ids, position of the mask that is drawn and a
    number in [0, 1) → a row that draws by it. A step has one row a chain.
    """
    random = np.random.default_rng(seed)
    mask_id = ids[masks[0]]
    states = [Filling(ids, [], 0.0)] * chains
    for _ in range(1 + SWEEPS):
        states = [replace(state, log_prob=0.0) for state in states]
        for mask in masks:
            opened = [[*state.ids[:mask], mask_id, *state.ids[mask + 1 :]] for state in states]
            draws = random.random(chains).tolist()
            raws = yield [row(text, mask, draw) for text, draw in zip(opened, draws, strict=True)]
            for index, (text, raw) in enumerate(zip(opened, raws, strict=True)):
                ((token, log_prob),) = read_log_probs(raw).items()
                filled = [*text[:mask], token, *text[mask + 1 :]]
                states[index] = Filling(filled, [], states[index].log_prob + log_prob)
    return list({tuple(state.ids): state for state in states}.values())


def count_rows(masks: int, chains: int) -> int:
    return chains * masks * (1 + SWEEPS)
