"""Vectors of an evaluation's items, by the serving engine, and kept in the cache.

The vectors of one model are an entry of the cache: `embeddings/<key>` with one file for each piece of the items. The
key is a digest of the model's files, of the items and of the options that change vectors. A job that was killed
continues with the first missing piece.
"""

import asyncio
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.devices import resolve_device, resolve_dtype
from app.errors import AppError, InvalidData, TaskNotSupported
from app.evaluation.random_weights import load_with_random_weights
from app.modalities import registry
from app.modalities.base import AnyHandler
from app.modalities.embedding import EmbedItem
from app.serving.engine import Engine
from app.serving.pool import EnginePool
from app.serving.runners import make_runners
from app.store.store import ModelEntry, ModelStore
from app.system.concurrency import gather_or_cancel, run_watched
from app.system.durable import write_bytes
from app.system.process_pool import ProcessPool
from app.training.data.cache import make_room, open_entry
from app.types import Task

PIECE = 512  # items of a file
_ASKED = 0.25  # seconds between two questions whether to stop: a piece may take a minute
_AT_ONCE = 2  # pieces that are prepared and computed at once
_FORMAT = 2  # of the entries; raise it when vectors of the same items change

Done = Callable[[int], None]  # is told how many items are done; may raise to stop


@dataclass(frozen=True)
class EngineOptions:
    """The settings of the engine, as serving has them."""

    device: str = "auto"
    dtype: str = "auto"
    threads: int | None = None
    max_batch_tokens: int | None = None


@dataclass(frozen=True)
class EmbeddingRequest:
    """Items whose vectors are computed.

    contents: texts, or the bytes of files. places: where each was read, for errors.
    random_weights: whether the weights are random instead of the model's own.
    """

    model: ModelEntry
    contents: Sequence[str | bytes]
    places: Sequence[str]
    random_weights: bool = False


@dataclass(frozen=True)
class Embedder:
    """Computes vectors of items with models of the store.

    decoders: the processes that decode files; None: threads of this process.
    cache_bytes: maximum size of the cache. disk_reserve: bytes of the disk that stay free.
    """

    store: ModelStore
    cache: Path
    options: EngineOptions = EngineOptions()
    decoders: ProcessPool | None = None
    cache_bytes: int = 50 * 2**30
    disk_reserve: int = 0

    def load_handler(self, model: ModelEntry) -> AnyHandler:
        """Loads what reads the items of a model. Raises InvalidModel and TaskNotSupported."""
        dtype = resolve_dtype(self.options.dtype, resolve_device(self.options.device))
        served = registry.load(model.path, dtype=dtype)
        if Task.EMBED not in served.tasks:
            raise TaskNotSupported(f"{model.id} cannot do {Task.EMBED}", param="models")
        return served.tasks[Task.EMBED]

    def embed(self, request: EmbeddingRequest, on_done: Done) -> NDArray[np.float32]:
        """Returns the vectors [N, D] of the items, pooled in the model's own way and not normalized.

        Raises InvalidData for an item that the model cannot read, TaskNotSupported, InsufficientStorage, and what
        `on_done` raises.
        """
        folder = self.cache / "embeddings" / self._digest(request)
        count = len(request.contents)
        with open_entry(folder, partial(self._fill, request, on_done), lambda: on_done(0)):
            vectors = [np.load(_piece_path(folder, start)) for start in range(0, count, PIECE)]
        on_done(count)
        return np.concatenate(vectors)

    def _digest(self, request: EmbeddingRequest) -> str:
        options = self.options
        facts = [_FORMAT, PIECE, request.model.manifest.files, request.random_weights, options.device, options.dtype]
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        for content in request.contents:
            raw = content.encode(errors="replace") if isinstance(content, str) else content
            digest.update(hashlib.sha256(raw).digest())
        return digest.hexdigest()[:32]

    def _fill(self, request: EmbeddingRequest, on_done: Done, folder: Path) -> None:
        """Computes the pieces that are missing in `folder`."""
        starts = range(0, len(request.contents), PIECE)
        if missing := [start for start in starts if not _piece_path(folder, start).exists()]:
            asyncio.run(self._compute(request, on_done, folder, missing))

    async def _compute(self, request: EmbeddingRequest, on_done: Done, folder: Path, missing: Sequence[int]) -> None:
        pool = self.build_pool(random_weights=request.random_weights)
        done = len(request.contents) - sum(len(request.contents[start : start + PIECE]) for start in missing)
        waiting = iter(missing)

        async def work(engine: Engine) -> None:
            nonlocal done
            for start in waiting:
                on_done(done)
                piece = slice(start, start + PIECE)
                vectors = await _embed_piece(engine, request.contents[piece], request.places[piece])
                write_bytes(_piece_path(folder, start), _serialize(vectors))
                done += len(vectors)

        async def work_all() -> None:
            engine = await pool.get(request.model.id)
            self._make_room((len(request.contents) - done) * (engine.model.dimensions or 0))
            await gather_or_cancel(work(engine) for _ in range(_AT_ONCE))

        await pool.start()
        try:
            await run_watched(work_all(), lambda: on_done(done), _ASKED)
        finally:
            await pool.stop()

    def _make_room(self, numbers: int) -> None:
        size = numbers * np.dtype(np.float32).itemsize
        make_room(self.cache, self.cache_bytes, size, 0, reserve=self.disk_reserve)

    def build_pool(self, *, random_weights: bool) -> EnginePool:
        """Returns a pool of one model at a time, which is to be started and stopped."""
        device = resolve_device(self.options.device)
        dtype = resolve_dtype(self.options.dtype, device)
        runners = make_runners([device], max_batch_tokens=self.options.max_batch_tokens, threads=self.options.threads)
        load = partial(load_with_random_weights if random_weights else registry.load, dtype=dtype)
        return EnginePool(self.store, runners, load=load, dtype=dtype, max_loaded=1, decoders=self.decoders)


def make_item(content: str | bytes) -> EmbedItem:
    """Returns the item that a model embeds for a text or a file."""
    return EmbedItem(content, normalize=False, truncate=True)


async def _embed_piece(engine: Engine, contents: Sequence[str | bytes], places: Sequence[str]) -> NDArray[np.float32]:
    items = list(map(make_item, contents))
    try:
        results = await engine.submit(Task.EMBED, items)
    except AppError as error:
        if error.index is None and len(contents) > 1:
            raise
        raise InvalidData(f"{places[error.index or 0]}: {error.message}") from error
    return np.stack([result.vector for result in results])


def _piece_path(folder: Path, start: int) -> Path:
    return folder / f"{start:09d}.npy"


def _serialize(vectors: NDArray[np.float32]) -> bytes:
    stream = BytesIO()
    np.save(stream, vectors)
    return stream.getvalue()
