"""Text models built from scratch, and a fair start for a head that is new."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoConfig, AutoModelForMaskedLM, PreTrainedModel, PreTrainedTokenizerBase

MAX_SCRATCH_POSITIONS = 512


def build_preset(
    config: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase, sequence_length: int
) -> PreTrainedModel:
    """A randomly initialised model. Dropout is off: one pass over much data cannot overfit (arXiv 2212.14034)."""
    settings = dict(config)
    model_type = settings.pop("model_type")
    model: PreTrainedModel = AutoModelForMaskedLM.from_config(
        AutoConfig.for_model(
            model_type,
            vocab_size=len(tokenizer),
            max_position_embeddings=max(sequence_length, MAX_SCRATCH_POSITIONS),
            pad_token_id=tokenizer.pad_token_id,
            cls_token_id=tokenizer.cls_token_id,
            sep_token_id=tokenizer.sep_token_id,
            mask_token_id=tokenizer.mask_token_id,
            bos_token_id=tokenizer.cls_token_id,
            eos_token_id=tokenizer.sep_token_id,
            **NO_DROPOUT[model_type],
            **settings,
        )
    )
    return model


NO_DROPOUT: dict[str, dict[str, float]] = {
    "bert": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
    "esm": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0},
    "modernbert": {"embedding_dropout": 0.0, "mlp_dropout": 0.0, "attention_dropout": 0.0},
}


def start_at_frequencies(model: PreTrainedModel, counts: NDArray[np.int64]) -> None:
    """Sets a new head's bias to the tokens' log frequencies, so that training need not learn them first.

    counts [V]: how often each token occurs.
    """
    projection = model.get_output_embeddings()
    if getattr(projection, "bias", None) is not None:
        smoothed = (counts + 0.1) / (counts + 0.1).sum()
        with torch.no_grad():
            projection.bias.copy_(torch.from_numpy(np.log(smoothed)).float())
