"""Scores of the tokens of texts by a masked model, through the serving engine, and kept in the cache.

The scores of one model are an entry of the cache: `scores/<key>` with one file for each piece of the texts. The key is
a digest of the model's files, of the texts and of the options that change scores. A job that was killed continues with
the first missing piece.
"""

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.evaluation.embedding import Embedder
from app.evaluation.unreadable import MISTAKES
from app.modalities.text.items import DrawnMasks, ScoreItem, ScoreResult
from app.serving.engine import Engine
from app.store.store import ModelEntry
from app.system.durable import write_bytes
from app.training.data.cache import open_entry
from app.types import Task

PIECE = 64  # texts of a file
_AT_ONCE = 2  # pieces that are prepared and computed at once
_FORMAT = 1  # of the entries; raise it when scores of the same texts change
_INTERVAL = 0.5  # seconds between two reports


class TextScore(NamedTuple):
    """The score of one text.

    log_likelihood: the sum of the log-probabilities of its scored tokens. right: how many of them the model finds most
    probable. characters: up to the end of the last scored token. identity: a number that is the same for equal tokens.
    """

    log_likelihood: float
    tokens: int
    right: int
    characters: int
    identity: int


@dataclass(frozen=True)
class ScoringRequest:
    """Texts that are scored. masked: share of tokens that are drawn, masked together and scored.

    None: all tokens, each masked as `POST /v1/score` does by default, which is the pseudo-log-likelihood.
    """

    model: ModelEntry
    texts: Sequence[str]
    masked: float | None = None

    def item(self, index: int) -> ScoreItem:
        drawn = None if self.masked is None else DrawnMasks(self.masked, seed=index)
        return ScoreItem(self.texts[index], truncate=True, drawn=drawn)


def score_texts(embedder: Embedder, request: ScoringRequest, on_share: Callable[[float], None]) -> NDArray[np.float64]:
    """Returns the scores [N, 5] of texts, with the fields of `TextScore`; NaN for texts that the model cannot read.

    on_share: is told the share that is done; may raise to stop. Raises TaskNotSupported.
    """
    folder = embedder.cache / "scores" / _digest(embedder, request)
    with open_entry(folder, partial(_fill, embedder, request, on_share), lambda: on_share(0)):
        pieces = [np.load(_piece_path(folder, start)) for start in range(0, len(request.texts), PIECE)]
    on_share(1)
    return np.concatenate(pieces)


def _digest(embedder: Embedder, request: ScoringRequest) -> str:
    options = embedder.options
    facts = [_FORMAT, PIECE, request.model.manifest.files, request.masked, options.device, options.dtype]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for text in request.texts:
        digest.update(hashlib.sha256(text.encode(errors="replace")).digest())
    return digest.hexdigest()[:32]


def _fill(embedder: Embedder, request: ScoringRequest, on_share: Callable[[float], None], folder: Path) -> None:
    """Computes the pieces that are missing in `folder`."""
    starts = range(0, len(request.texts), PIECE)
    if missing := [start for start in starts if not _piece_path(folder, start).exists()]:
        asyncio.run(_Scoring(request, folder, missing, on_share).compute(embedder))


class _Scoring:
    """The computation of missing pieces. Texts are counted one by one, since a piece may take minutes."""

    def __init__(
        self, request: ScoringRequest, folder: Path, missing: Sequence[int], on_share: Callable[[float], None]
    ) -> None:
        self._request, self._folder, self._on_share = request, folder, on_share
        count = len(request.texts)
        self._pieces = [range(start, min(start + PIECE, count)) for start in missing]
        self._done = count - sum(map(len, self._pieces))

    async def compute(self, embedder: Embedder) -> None:
        pool = embedder.build_pool(random_weights=False)
        await pool.start()
        try:
            engine = await pool.get(self._request.model.id)
            engine.require(Task.SCORE)
            waiting = iter(self._pieces)
            async with asyncio.TaskGroup() as group:
                workers = [group.create_task(self._work(engine, waiting)) for _ in range(_AT_ONCE)]
                reports = group.create_task(self._report())
                await asyncio.wait(workers)
                reports.cancel()
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            await pool.stop()

    async def _report(self) -> None:
        while True:
            self._tell()
            await asyncio.sleep(_INTERVAL)

    def _tell(self) -> None:
        self._on_share(self._done / len(self._request.texts))

    async def _work(self, engine: Engine, waiting: Iterator[range]) -> None:
        for piece in waiting:
            scores = np.array(await asyncio.gather(*(self._score(engine, index) for index in piece)), np.float64)
            stream = BytesIO()
            np.save(stream, scores)
            write_bytes(_piece_path(self._folder, piece.start), stream.getvalue())
            self._tell()

    async def _score(self, engine: Engine, index: int) -> Sequence[float]:
        try:
            (result,) = await engine.submit(Task.SCORE, [self._request.item(index)])
        except MISTAKES:  # such as a text of special tokens only
            return [np.nan] * len(TextScore._fields)
        finally:
            self._done += 1
        return measure_score(result)


def measure_score(result: ScoreResult) -> TextScore:
    """Returns the numbers of a scored text."""
    tokens = result.scored
    ids = json.dumps([token.token for token in tokens]).encode()
    return TextScore(
        log_likelihood=result.log_likelihood,
        tokens=len(tokens),
        right=sum(token.rank == 1 for token in tokens),
        characters=tokens[-1].end,
        identity=int.from_bytes(hashlib.blake2b(ids, digest_size=6).digest()),  # a float64 holds it exactly
    )


def _piece_path(folder: Path, start: int) -> Path:
    return folder / f"{start:09d}.npy"
