"""Embeddings: one vector an input, or one of each part of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.errors import AppError, InvalidValue
from app.modalities.base import BatchRow, Prepared, Steps, TaskHandler
from app.modalities.embedding import TEXT_OUTPUTS, EmbedItem, EmbedResult, check_dimensions
from app.modalities.patch.decoded_media import DecodedMedia
from app.modalities.text.batches import TextBatch
from app.modalities.text.embed_parts import PartsPlan, plan_parts
from app.modalities.text.embed_rows import EmbedRows, RowOptions, Segments, TextEmbedInputs
from app.modalities.text.encoder import vocabulary_size
from app.modalities.text.encoding import QUICK_CHARACTERS, TextEncoder
from app.modalities.text.forward import TextForward
from app.modalities.text.multi_vector import MultiVectorHead
from app.modalities.text.pipeline import MultiVector, PoolingMode, SentencePipeline, pool
from app.modalities.text.prompts import Prompts
from app.modalities.text.sparse import SparseHead

_PROSE = 4  # characters of a token, at least, in most texts
_FEW_WINDOWS = 8  # whose rows are made for all items of a request at once
_LAYERS_COST = 4  # times the memory of a row, at most, where the hidden states of all layers are kept

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class TextEmbedBatch:
    texts: TextBatch
    inputs: Sequence[TextEmbedInputs]


class TextEmbed(TaskHandler[EmbedItem, TextEmbedInputs, TextEmbedBatch, Floats, EmbedResult]):
    """Embeds texts: EmbedItem → EmbedResult, in one step of one row, or of a row a window or chunk."""

    def __init__(
        self,
        forward: TextForward,
        encoder: TextEncoder,
        *,
        pipeline: SentencePipeline,
        max_length: int,
        sparse: SparseHead | None = None,
    ) -> None:
        """sparse: for sparse vectors; None where the model has no masked-LM head.

        Raises InvalidModel for a pipeline that does not fit the model.
        """
        self.forward = forward
        self.encoder = encoder
        self._pipeline, self._sparse = pipeline, sparse
        self._hidden_size = int(forward.model.config.hidden_size)
        self._rows = EmbedRows(encoder, vocabulary=vocabulary_size(forward.model), max_length=max_length)
        self._prompts = Prompts(
            encoder,
            pipeline.prompts,
            pipeline.default_prompt,
            pooled=pipeline.include_prompt,
            max_length=max_length,
        )
        self._multi_vector = MultiVectorHead(forward, self._rows, self._prompts, pipeline.multi_vector or MultiVector())
        self.dimensions = pipeline.dimensions(self._hidden_size)

    @property
    def pads(self) -> bool:
        return self.forward.pads

    def example(self) -> EmbedItem:
        return EmbedItem(self.encoder.example, output=self._pipeline.trained_for or "pooled")

    def is_quick(self, item: EmbedItem) -> bool:
        if not isinstance(item.input, str) or item.output != "pooled":
            return False
        return len(item.input) + len(item.prompt or "") <= QUICK_CHARACTERS

    def takes_one_step(self, item: EmbedItem) -> bool:
        if item.output == "chunks":
            return False
        few = _FEW_WINDOWS * self._rows.max_length * _PROSE
        return not item.split or isinstance(item.input, bytes | DecodedMedia) or len(item.input) <= few

    def steps(self, item: EmbedItem) -> Steps[TextEmbedInputs, Floats, EmbedResult]:
        if item.output == "sparse":
            return self._embed_sparse(item, *self._read_sparse(item))
        if item.output == "multi_vector":
            return self._multi_vector.steps(item)
        options = self._read_options(item)
        if item.output in TEXT_OUTPUTS:
            return self._embed_parts(item, plan_parts(self._rows, item, options))
        if item.split and not item.truncate:
            return self._embed(item, self._rows.make_windows(item, options))
        return self._embed(item, [self._rows.make_one(item, options)])

    def _embed(self, item: EmbedItem, rows: Sequence[TextEmbedInputs]) -> Steps[TextEmbedInputs, Floats, EmbedResult]:
        raws = yield list(map(_to_batch_row, rows))
        lengths = [len(row.ids) for row in rows]
        raw = raws[0] if len(raws) == 1 else np.average(raws, axis=0, weights=lengths)
        return EmbedResult(self._scale(item, raw), tokens=sum(lengths), parts=len(rows))

    def _embed_parts(self, item: EmbedItem, plan: PartsPlan) -> Steps[TextEmbedInputs, Floats, EmbedResult]:
        raws = yield list(map(_to_batch_row, plan.rows))
        vectors = self._scale(item, plan.join(raws))
        return EmbedResult(vectors, tokens=sum(len(row.ids) for row in plan.rows), spans=plan.parts)

    def _embed_sparse(
        self, item: EmbedItem, row: TextEmbedInputs, head: SparseHead
    ) -> Steps[TextEmbedInputs, Floats, EmbedResult]:
        (raw,) = yield [BatchRow(row, head.cost(len(row.ids)))]
        vector = head.finish(raw)
        return EmbedResult(vector.weights, tokens=len(row.ids), sparse=vector)

    def _read_sparse(self, item: EmbedItem) -> tuple[TextEmbedInputs, SparseHead]:
        """Returns the row. Raises InvalidValue for a model without a masked-LM head, and for options of dense vectors.

        A text that is too long is cut, unless the item says that it is refused.
        """
        if self._sparse is None:
            raise InvalidValue("this model has no masked-LM head, which makes sparse vectors", param="output")
        for name in ("pooling", "layer", "dimensions"):
            if getattr(item, name) is not None:
                raise InvalidValue(f"`{name}` is for dense vectors, and `output` is sparse", param=name)
        item = replace(item, truncate=item.truncate or item.split)
        row = self._rows.make_one(item, RowOptions(None, self._prompts.choose(item)))
        return replace(row, sparse=True, terms=item.terms), self._sparse

    def prepare(self, item: EmbedItem) -> Prepared[TextEmbedInputs, EmbedItem]:
        """Returns the row of a text that fits, or is cut. Raises InputTooLong, and InvalidValue for an option."""
        row = self._rows.make_one(item, self._read_options(item))
        return Prepared(row, len(row.ids), item)

    def _read_options(self, item: EmbedItem) -> RowOptions:
        """Raises InvalidValue."""
        if item.output == "windows":
            raise InvalidValue("texts have no windows; `windows` is for media", param="output")
        pooling = self._choose_pooling(item)
        check_dimensions(item, self._vector_size(pooling), self._pipeline.matryoshka)
        return RowOptions(pooling, self._prompts.choose(item), self._choose_layer(item))

    def _choose_pooling(self, item: EmbedItem) -> tuple[PoolingMode, ...] | None:
        """Returns the modes, None for vectors of tokens.

        Raises InvalidValue where what follows the pooling was trained for another one, or pooling has no meaning.
        """
        own = self._pipeline.pooling
        if item.output in ("tokens", "words"):
            return None
        if (output := self._pipeline.trained_for) is not None and item.pooling is None:
            made = "sparse vectors" if output == "sparse" else "vectors of tokens"
            raise InvalidValue(
                f"this model was trained for {made}: set output to {output}, or name a pooling for the vectors of its"
                " encoder",
                param="output",
            )
        asked = own if item.pooling is None else (PoolingMode(item.pooling),)
        if item.output == "chunks" and item.chunks.late and asked != (PoolingMode.MEAN,):
            raise InvalidValue(
                f"late chunks are means of tokens, and the pooling is {'+'.join(asked)}", param="late_chunking"
            )
        if len(self._pipeline.head) and (asked != own or (item.output == "chunks" and item.chunks.late)):
            param = "pooling" if asked != own else "late_chunking"
            raise InvalidValue(
                f"this model's layers after the pooling were trained for {'+'.join(own)}; leave {param} out",
                param=param,
            )
        return asked

    def _choose_layer(self, item: EmbedItem) -> int | None:
        """Returns the number of the hidden states, from 0 to the number of layers. Raises InvalidValue."""
        if item.layer is None:
            return None
        count = int(self.forward.model.config.num_hidden_layers)
        if not -count - 1 <= item.layer <= count:
            raise InvalidValue(
                f"layer is {item.layer}; the model has {count} layers, and 0 are the embeddings of its tokens",
                param="layer",
            )
        layer = item.layer % (count + 1)
        if layer != count and len(self._pipeline.head) and item.output not in ("tokens", "words"):
            raise InvalidValue(
                "this model's layers after the pooling were trained for its last layer; leave layer out", param="layer"
            )
        return None if layer == count else layer

    def _vector_size(self, pooling: tuple[PoolingMode, ...] | None) -> int:
        if pooling is None:
            return self._hidden_size
        if pooling == self._pipeline.pooling:
            return self.dimensions
        return min(self._hidden_size, self._pipeline.truncate_dim or self._hidden_size)

    def collate(self, inputs: Sequence[TextEmbedInputs]) -> TextEmbedBatch:
        return TextEmbedBatch(self.forward.collate([each.ids for each in inputs]), inputs)

    @torch.inference_mode()
    def run(self, batch: TextEmbedBatch) -> list[Floats]:
        """Returns for each row its pooled vector [D], the vectors of its tokens [tokens, H] or its segments' sums.

        They are empty where the architecture does not have the hidden states of the row's layer.
        """
        if any(each.kind != "dense" for each in batch.inputs):
            return self._run_kinds(batch)
        kinds = {(each.layer, each.pooling) for each in batch.inputs}
        if len(kinds) == 1:
            ((layer, modes),) = kinds
            if layer is None and modes is not None:
                return list(self._pool(modes, batch, None).cpu().numpy())
        states = self._read_states(batch)
        pooled = {
            (layer, modes): self._pool(modes, batch, states[layer]).cpu().numpy()
            for layer, modes in kinds
            if layer in states and modes
        }
        ends = np.cumsum(batch.texts.lengths)
        found: list[Floats] = []
        for row, (each, end) in enumerate(zip(batch.inputs, ends, strict=True)):
            if each.layer not in states:
                found.append(np.empty((0, self._hidden_size), np.float32))
            elif each.pooling is not None:
                found.append(pooled[each.layer, each.pooling][row])
            else:
                tokens = states[each.layer][end - len(each.ids) : end].cpu().numpy()
                found.append(tokens if each.segments is None else _sum_segments(tokens, each.segments))
        return found

    def _run_kinds(self, batch: TextEmbedBatch) -> list[Floats]:
        """Runs the rows of each kind as a batch of their own. Batches of several kinds are rare."""
        kinds = [each.kind for each in batch.inputs]
        found = {}
        for kind in set(kinds):
            rows = [each for each in batch.inputs if each.kind == kind]
            found[kind] = iter(self._run_kind(batch if len(rows) == len(kinds) else self.collate(rows)))
        return [next(found[kind]) for kind in kinds]

    def _run_kind(self, batch: TextEmbedBatch) -> list[Floats]:
        kind = batch.inputs[0].kind
        if kind == "sparse" and self._sparse is not None:
            return self._sparse.run(batch.texts, [each.terms for each in batch.inputs])
        return self._multi_vector.run(batch.texts, batch.inputs) if kind == "multi_vector" else self.run(batch)

    def _read_states(self, batch: TextEmbedBatch) -> dict[int | None, Tensor]:
        """Returns the hidden states [tokens, H] of the layers that the rows ask for, as far as there are any."""
        layers = {each.layer for each in batch.inputs if each.layer is not None}
        every = self.forward.all_hidden_states(batch.texts) if layers else None
        if every is None:
            return {None: self.forward.hidden_states(batch.texts).float()}
        return {None: every[-1].float()} | {layer: every[layer].float() for layer in layers}

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

    def _scale(self, item: EmbedItem, raw: Floats) -> Floats:
        """Returns vectors [..., D] cut and scaled as the item says. Raises AppError for a result that is none."""
        if not raw.size:
            raise InvalidValue("this architecture does not give the hidden states of its layers", param="layer")
        if not np.isfinite(raw).all():
            raise AppError("the model computed numbers that are not finite for this input")
        normalize = self._pipeline.normalize if item.normalize is None else item.normalize
        limit = None if item.output in ("tokens", "words") else self._pipeline.truncate_dim
        if item.normalize is None and normalize and item.dimensions is None:
            vector = _unit(raw)[..., :limit]  # as sentence-transformers does: the model's own cut comes last
        else:
            vector = raw[..., : item.dimensions or limit]
            vector = _unit(vector) if normalize else vector
        return vector.astype(np.float32, copy=False)


def _to_batch_row(row: TextEmbedInputs) -> BatchRow[TextEmbedInputs]:
    return BatchRow(row, len(row.ids) * (1 if row.layer is None else _LAYERS_COST))


def _sum_segments(tokens: Floats, segments: Segments) -> Floats:
    """[tokens, H] → [segments, H]."""
    return np.stack([tokens[start:end].sum(axis=0) for start, end in segments])


def _unit(vector: Floats) -> Floats:
    scaled: Floats = vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-12)
    return scaled
