"""Multi-vector embeddings: a vector of each token, for comparisons by MaxSim.

ColBERT (Khattab & Zaharia 2020, https://arxiv.org/abs/2004.12832), with the rules of sentence-transformers'
MultiVectorEncoder. Models that were not trained for it give the vectors of their encoder, of all tokens.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from app.errors import AppError, InvalidModel, InvalidValue
from app.modalities.base import BatchRow, Steps
from app.modalities.embedding import EmbedItem, EmbedResult, scale_vector
from app.modalities.text.batches import TextBatch
from app.modalities.text.embed_rows import EmbedRows, RowOptions, TextEmbedInputs, TokenSelection
from app.modalities.text.encoder import position_limit
from app.modalities.text.forward import TextForward
from app.modalities.text.pipeline import MultiVector, QueryExpansion
from app.modalities.text.prompts import Prompts
from app.types import InputType

Floats = NDArray[np.float32]


class MultiVectorHead:
    """Embeds texts as vectors of their tokens: EmbedItem → EmbedResult, in one step of one row.

    Raises InvalidModel for a query expansion that does not fit the model.
    """

    def __init__(self, forward: TextForward, rows: EmbedRows, prompts: Prompts, options: MultiVector) -> None:
        self._forward, self._rows, self._prompts, self._options = forward, rows, prompts, options
        tokenizer: Any = rows.encoder.tokenizer
        found = {word: tokenizer.convert_tokens_to_ids(word) for word in options.skipped_words}
        # A word that the vocabulary does not have would stand for every unknown one.
        unknown = {tokenizer.unk_token_id, None}
        self._skipped = {id_ for word, id_ in found.items() if id_ not in unknown or word == tokenizer.unk_token}
        self._added = None if options.expansion is None else _find_added(tokenizer, options.expansion)
        # A length of a purpose takes precedence over the one of all texts, as in sentence-transformers.
        self._longest = position_limit(forward.model)
        if options.expansion is not None and options.expansion.length > self._longest:
            raise InvalidModel(
                f"queries are expanded to {options.expansion.length} tokens, and the model reads {self._longest}"
            )

    def steps(self, item: EmbedItem) -> Steps[TextEmbedInputs, Floats, EmbedResult]:
        """Starts an item. Raises InputTooLong, EmptyInput and InvalidValue."""
        return self._embed(item, self._read(item))

    def _embed(self, item: EmbedItem, row: TextEmbedInputs) -> Steps[TextEmbedInputs, Floats, EmbedResult]:
        (raw,) = yield [BatchRow(row, len(row.ids))]
        if not np.isfinite(raw).all():
            raise AppError("the model computed numbers that are not finite for this input")
        as_made = item.normalize is None and not self._options.normalize
        return EmbedResult(raw if as_made else scale_vector(raw, item), tokens=len(row.ids))

    def _read(self, item: EmbedItem) -> TextEmbedInputs:
        """Returns the row. A text that is too long is cut, unless the item says that it is refused."""
        for name in ("pooling", "layer", "dimensions"):
            if getattr(item, name) is not None:
                raise InvalidValue(f"`{name}` is for vectors of texts, and `output` is multi_vector", param=name)
        purpose = item.input_type
        options = RowOptions(None, self._prompts.choose(item), limit=self._limit(purpose))
        row = self._rows.make_one(replace(item, truncate=item.truncate or item.split), options)
        ids, attended = row.ids, len(row.ids)
        expansion = self._options.expansion
        if purpose is InputType.QUERY and expansion is not None and self._added is not None:
            ids = [*ids, *[self._added] * (expansion.length - len(ids))]
            attended = len(ids) if expansion.attend else attended
        skipped = self._skipped if (purpose or InputType.DOCUMENT) in self._options.skipping else ()
        kept = [place for place, id_ in enumerate(ids) if id_ not in skipped]
        if not kept:
            raise InvalidValue("all tokens of the input are among those that the model leaves out", param="input")
        return replace(row, ids=ids, selection=TokenSelection(kept, attended))

    def _limit(self, purpose: InputType | None) -> int | None:
        """Returns the tokens of a text of a purpose; None for as many as the model embeds."""
        options, expansion = self._options, self._options.expansion
        if purpose is InputType.DOCUMENT:
            length = options.document_length
        elif purpose is not InputType.QUERY:
            return None
        elif expansion is None:
            length = options.query_length
        elif expansion.fixed:
            length = expansion.length
        else:
            length = options.query_length and max(options.query_length, expansion.length)
        return length and min(length, self._longest)

    def run(self, texts: TextBatch, inputs: Sequence[TextEmbedInputs]) -> list[Floats]:
        """Returns the vectors [kept tokens, D] of each row, not normalized. texts: of all rows."""
        states = self._read_states(texts, inputs)
        places = [torch.tensor(each.selection.kept if each.selection else (), dtype=torch.long) for each in inputs]
        kept = [each[place.to(each.device)].float() for each, place in zip(states, places, strict=True)]
        vectors = self._options.projection(torch.cat(kept))
        return [part.cpu().numpy() for part in torch.split(vectors, [len(each) for each in kept])]

    def _read_states(self, texts: TextBatch, inputs: Sequence[TextEmbedInputs]) -> list[Tensor]:
        """Returns the hidden states [tokens, H] of each row."""
        if not any(map(_is_expanded, inputs)):
            return list(torch.split(self._forward.hidden_states(texts), texts.lengths))
        order = sorted(range(len(inputs)), key=lambda nth: (_is_expanded(inputs[nth]), len(inputs[nth].ids)))
        found: dict[int, Tensor] = {}
        for (expanded, _), group in groupby(order, key=lambda nth: (_is_expanded(inputs[nth]), len(inputs[nth].ids))):
            places = list(group)
            rows = [inputs[nth].ids for nth in places]
            if expanded:
                attended = [each.selection.attended for nth in places if (each := inputs[nth]).selection]
                states = list(self._forward.partly_attended(rows, attended))
            else:
                batch = self._forward.collate(rows)
                states = list(torch.split(self._forward.hidden_states(batch), batch.lengths))
            found |= dict(zip(places, states, strict=True))
        return [found[nth] for nth in range(len(inputs))]


def _is_expanded(row: TextEmbedInputs) -> bool:
    """Whether a row has tokens that the others do not see."""
    return row.selection is not None and row.selection.attended < len(row.ids)


def _find_added(tokenizer: Any, expansion: QueryExpansion) -> int:
    """Returns the id of the token that queries are filled up with. Raises InvalidModel."""
    if tokenizer.padding_side != "right":
        raise InvalidModel("queries are expanded at their end, and the tokenizer pads at the beginning")
    if expansion.token is None:
        found = tokenizer.mask_token_id if tokenizer.mask_token_id is not None else tokenizer.eos_token_id
    else:
        found = tokenizer.convert_tokens_to_ids(expansion.token)
        found = None if found == tokenizer.unk_token_id and expansion.token != tokenizer.unk_token else found
    if found is None:
        raise InvalidModel(f"queries are expanded by {expansion.token or 'a mask token'}, which the tokenizer lacks")
    return int(found)
