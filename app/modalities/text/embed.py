"""Embeddings: one vector an input, or one a token."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.errors import AppError, EmptyInput, InputTooLong, InvalidModel, InvalidValue
from app.modalities.base import BatchRow, Prepared, Steps, TaskHandler
from app.modalities.embedding import EmbedItem, EmbedResult
from app.modalities.patch.decoded_media import DecodedMedia
from app.modalities.text.batches import TextBatch
from app.modalities.text.encoder import vocabulary_size
from app.modalities.text.encoding import QUICK_CHARACTERS, TextEncoder
from app.modalities.text.forward import TextForward
from app.modalities.text.pipeline import PoolingMode, SentencePipeline, pool

MAX_WINDOWS = 64  # of a text
_PROSE = 4  # characters of a token, at least, in most texts
_FEW_WINDOWS = 8  # whose rows are made for all items of a request at once

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class TextEmbedInputs:
    """pooling: the modes; None for every token's vector. skipped: of the first tokens, which are not pooled."""

    ids: list[int]
    pooling: tuple[PoolingMode, ...] | None
    skipped: int = 0


@dataclass(frozen=True)
class TextEmbedBatch:
    texts: TextBatch
    inputs: Sequence[TextEmbedInputs]


@dataclass(frozen=True)
class Prompt:
    """A text that goes before others. length: of its tokens, with the special ones before it."""

    text: str = ""
    length: int = 0


class TextEmbed(TaskHandler[EmbedItem, TextEmbedInputs, TextEmbedBatch, Floats, EmbedResult]):
    """Embeds texts: EmbedItem → EmbedResult, in one step of one row, or of a row a window."""

    def __init__(
        self, forward: TextForward, encoder: TextEncoder, *, pipeline: SentencePipeline, max_length: int
    ) -> None:
        """Raises InvalidModel for a pipeline that does not fit the model."""
        self.forward = forward
        self.encoder = encoder
        self._pipeline = pipeline
        self._max_length = max_length
        self._vocabulary = vocabulary_size(forward.model)
        self._hidden_size = int(forward.model.config.hidden_size)
        self._prompts = {name: Prompt(text, self._measure(text)) for name, text in pipeline.prompts.items()}
        self.dimensions = pipeline.dimensions(self._hidden_size)

    def _measure(self, prompt: str) -> int:
        """Tokens of a prompt as sentence-transformers counts them: with what precedes it, without one special after.

        Raises InvalidModel.
        """
        ids = [token.id for token in self.encoder.tokens(prompt, add_special_tokens=True)]
        if not prompt or not ids:
            return 0
        if len(ids) >= self._max_length:
            raise InvalidModel(
                f"the prompt of the model has {len(ids)} tokens, and it embeds {self._max_length} at most"
            )
        return len(ids) - (ids[-1] in self.encoder.tokenizer.all_special_ids)

    @property
    def pads(self) -> bool:
        return self.forward.pads

    def example(self) -> EmbedItem:
        return EmbedItem(self.encoder.example)

    def is_quick(self, item: EmbedItem) -> bool:
        return isinstance(item.input, str) and len(item.input) <= QUICK_CHARACTERS and item.output == "pooled"

    def takes_one_step(self, item: EmbedItem) -> bool:
        few = _FEW_WINDOWS * self._max_length * _PROSE
        return not item.split or isinstance(item.input, bytes | DecodedMedia) or len(item.input) <= few

    def steps(self, item: EmbedItem) -> Steps[TextEmbedInputs, Floats, EmbedResult]:
        rows = self._split(item) if item.split and not item.truncate and item.output == "pooled" else []
        return self._embed(item, rows or [self.prepare(item).inputs])

    def _embed(self, item: EmbedItem, rows: Sequence[TextEmbedInputs]) -> Steps[TextEmbedInputs, Floats, EmbedResult]:
        raws = yield [BatchRow(row, len(row.ids)) for row in rows]
        return self._finish(item, rows, raws)

    def prepare(self, item: EmbedItem) -> Prepared[TextEmbedInputs, EmbedItem]:
        """Returns the row of a text that fits, or is cut. Raises InputTooLong, and InvalidValue for an option."""
        pooling, prompt = self._read_options(item)
        content, begin = self._content(item, prompt.text)
        ids, shift = self.encoder.fit(content, self._max_length, truncate=item.truncate, side=item.truncation_side)
        cut = len(self.encoder.prefix) - shift  # tokens at the left, of the prompt first
        row = TextEmbedInputs(ids, pooling, 0 if begin else self._skip(prompt, len(ids), cut))
        return Prepared(row, len(ids), item)

    def _read_options(self, item: EmbedItem) -> tuple[tuple[PoolingMode, ...] | None, Prompt]:
        """Returns the modes of the pooling, None for each token's vector, and the prompt. Raises InvalidValue."""
        if item.output == "windows":
            raise InvalidValue("texts have no windows; `windows` is for media", param="output")
        pooling = self._choose_pooling(item)
        size = self._vector_size(pooling)
        if item.dimensions is not None and not 1 <= item.dimensions <= size:
            raise InvalidValue(f"dimensions is {item.dimensions}; this model's vectors have {size}", param="dimensions")
        return pooling, self._choose_prompt(item)

    def _skip(self, prompt: Prompt, count: int, cut: int = 0) -> int:
        """Returns how many of the first tokens of a row are not pooled. count: of its tokens."""
        if not prompt.length or self._pipeline.include_prompt:
            return 0
        return min(max(prompt.length - cut, len(self.encoder.prefix)), count - 1)

    def _split(self, item: EmbedItem) -> list[TextEmbedInputs]:
        """Returns a row for each window of a text that is too long, all of about one length; none if it fits.

        Each window begins with the prompt. Raises InputTooLong for more than MAX_WINDOWS, and InvalidValue.
        """
        pooling, prompt = self._read_options(item)
        if isinstance(item.input, str) and len(item.input) > self.encoder.max_characters(
            MAX_WINDOWS * self._max_length
        ):
            raise self._too_long(f"{len(item.input)} characters")
        content, _ = self._content(replace(item, truncate=True), "", MAX_WINDOWS)
        begin = self.encoder.content_ids(prompt.text) if prompt.text.strip() else []
        special = len(self.encoder.prefix) + len(self.encoder.suffix)
        if special + len(begin) + len(content) <= self._max_length:
            return []
        count = math.ceil(len(content) / max(1, self._max_length - special - len(begin)))
        if count > MAX_WINDOWS:
            raise self._too_long(f"{len(content)} tokens")
        bounds = [round(len(content) * nth / count) for nth in range(count + 1)]
        windows = (content[start:end] for start, end in pairwise(bounds))
        rows = [[*self.encoder.prefix, *begin, *window, *self.encoder.suffix] for window in windows]
        return [TextEmbedInputs(ids, pooling, self._skip(prompt, len(ids))) for ids in rows]

    def _too_long(self, size: str) -> InputTooLong:
        return InputTooLong(
            f"the input has {size}, more than {MAX_WINDOWS} windows of the {self._max_length} tokens that the model"
            " reads; shorten it or set truncate",
            param="input",
        )

    def _choose_pooling(self, item: EmbedItem) -> tuple[PoolingMode, ...] | None:
        """Raises InvalidValue where what follows the pooling was trained for another one."""
        own = self._pipeline.pooling
        if item.output == "tokens":
            return None
        asked = own if item.pooling is None else (PoolingMode(item.pooling),)
        if asked == own:
            return own
        if len(self._pipeline.head):
            raise InvalidValue(
                f"this model's layers after the pooling were trained for {'+'.join(own)}; leave pooling out",
                param="pooling",
            )
        return asked

    def _vector_size(self, pooling: tuple[PoolingMode, ...] | None) -> int:
        if pooling is None:
            return self._hidden_size
        if pooling == self._pipeline.pooling:
            return self.dimensions
        return min(self._hidden_size, self._pipeline.truncate_dim or self._hidden_size)

    def _choose_prompt(self, item: EmbedItem) -> Prompt:
        """Raises InvalidValue for a name that the model does not have, or one for token ids."""
        name = item.prompt_name
        if not isinstance(item.input, str):
            if name is not None:
                raise InvalidValue("token ids are read as they are, without a prompt", param="prompt_name")
            return Prompt()
        if name is None:
            name = self._pipeline.default_prompt
        elif name not in self._prompts:
            has = ", ".join(sorted(self._prompts)) or "none"
            raise InvalidValue(f"the model has no prompt {name!r}; its prompts: {has}", param="prompt_name")
        return Prompt() if name is None else self._prompts[name]

    def _content(self, item: EmbedItem, prompt: str, windows: int = 1) -> tuple[list[int], int]:
        """Token ids without special ones, and which character of the text they begin at."""
        given, begin = item.input, 0
        if isinstance(given, bytes | DecodedMedia):
            raise InvalidValue("this model embeds text, and the input is a file", param="input")
        if isinstance(given, str):
            if not given.strip():
                raise EmptyInput("the input is empty", param="input")
            text, begin = self.encoder.shorten(
                prompt + given, windows * self._max_length, truncate=item.truncate, side=item.truncation_side
            )
            content = self.encoder.content_ids(text)
        else:
            content = self.encoder.strip(given)
        if not content and not isinstance(given, str):
            raise EmptyInput("the input holds no token ids", param="input")
        wrong = next((i for i in content if not 0 <= i < self._vocabulary), None)
        if wrong is not None:
            raise InvalidValue(
                f"token id {wrong} is outside this model's vocabulary of {self._vocabulary}", param="input"
            )
        return content, begin

    def collate(self, inputs: Sequence[TextEmbedInputs]) -> TextEmbedBatch:
        return TextEmbedBatch(self.forward.collate([each.ids for each in inputs]), inputs)

    @torch.inference_mode()
    def run(self, batch: TextEmbedBatch) -> list[Floats]:
        poolings = {each.pooling for each in batch.inputs}
        if len(poolings) == 1 and (modes := next(iter(poolings))) is not None:
            return list(self._pool(modes, batch, None).cpu().numpy())
        hidden_states = self.forward.hidden_states(batch.texts).float()  # [tokens, H]
        pooled = {modes: self._pool(modes, batch, hidden_states).cpu().numpy() for modes in poolings if modes}
        ends = np.cumsum(batch.texts.lengths)
        rows = enumerate(zip(batch.inputs, ends, batch.texts.lengths, strict=True))
        return [
            hidden_states[end - n : end].cpu().numpy() if each.pooling is None else pooled[each.pooling][i]
            for i, (each, end, n) in rows
        ]

    def compute_vectors(self, prepared: Sequence[Prepared[TextEmbedInputs, EmbedItem]]) -> Tensor:
        """Pools texts in the model's own way → [B, D] float32, differentiable and not normalized."""
        batch = self.collate([each.inputs for each in prepared])
        return self._pool(self._pipeline.pooling, batch, None)[..., : self._pipeline.truncate_dim]

    def _pool(self, modes: tuple[PoolingMode, ...], batch: TextEmbedBatch, hidden_states: Tensor | None) -> Tensor:
        """Returns the pooled vectors [B, D]. hidden_states: [tokens, H], unless they are to be computed."""
        skipped = [each.skipped for each in batch.inputs]
        if hidden_states is None and modes == (PoolingMode.CLS,) and not any(skipped):
            vectors = self.forward.first_hidden_states(batch.texts).float()
        else:
            if hidden_states is None:
                hidden_states = self.forward.hidden_states(batch.texts).float()
            lengths, skips = (
                torch.tensor(each, device=hidden_states.device) for each in (batch.texts.lengths, skipped)
            )
            vectors = pool(modes, hidden_states, lengths, skips if any(skipped) else None)
        return self._pipeline.head(vectors) if modes == self._pipeline.pooling else vectors

    def _finish(self, item: EmbedItem, rows: Sequence[TextEmbedInputs], raws: Sequence[Floats]) -> EmbedResult:
        lengths = [len(row.ids) for row in rows]
        raw = raws[0] if len(raws) == 1 else np.average(raws, axis=0, weights=lengths)
        if not np.isfinite(raw).all():
            raise AppError("the model computed numbers that are not finite for this input")
        normalize = self._pipeline.normalize if item.normalize is None else item.normalize
        limit = None if item.output == "tokens" else self._pipeline.truncate_dim
        if item.normalize is None and normalize and item.dimensions is None:
            vector = _unit(raw)[..., :limit]  # as sentence-transformers does: the model's own cut comes last
        else:
            vector = raw[..., : item.dimensions or limit]
            vector = _unit(vector) if normalize else vector
        return EmbedResult(vector.astype(np.float32, copy=False), tokens=sum(lengths), parts=len(rows))


def _unit(vector: Floats) -> Floats:
    scaled: Floats = vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-12)
    return scaled
