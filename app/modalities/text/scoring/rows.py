"""The rows of the task score, and what the model gives for one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ScoreInputs:
    """One text with some tokens masked.

    ids: of the whole text, shared by its rows. masked, places: positions that are masked, and that are read.
    letters: tokens whose log-probabilities are read at each place. Without them, one place is read: the token that
    stands there is scored, and the `top_k` best ones are listed.
    """

    ids: list[int]
    masked: list[int]
    places: list[int]
    top_k: int = 0
    letters: tuple[int, ...] = ()


@dataclass(frozen=True)
class TokenScore:
    log_prob: float
    rank: int
    best: list[tuple[float, int]]  # (log-probability, token), best first


LetterScores = NDArray[np.float32]  # log-probabilities [places, letters]
RawScore = TokenScore | LetterScores
