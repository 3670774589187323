"""Predictions for masked tokens of held-out texts, in a form for people."""

import json

import torch
from transformers import PreTrainedTokenizerBase

SHOWN_TOKENS = 48  # of a row, from its beginning
CANDIDATES = 5


def show_predictions(
    tokenizer: PreTrainedTokenizerBase,
    seen: torch.Tensor,
    chosen: torch.Tensor,
    labels: torch.Tensor,
    logits: torch.Tensor,
) -> bytes:
    """Returns JSON: for the beginning of each row its text with mask tokens, the truth and the likeliest tokens.

    Args:
        seen: [B, L] ids, with the mask token at all positions to predict.
        chosen: [N] indices of these positions in the flattened batch.
        labels: [N] the tokens that stood there.
        logits: [N, V]
    """
    length = seen.shape[1]
    top = logits.softmax(-1).topk(min(CANDIDATES, logits.shape[-1]))
    special = set(tokenizer.all_special_ids) - {tokenizer.mask_token_id}
    items = []
    for row, ids in enumerate(seen[:, :SHOWN_TOKENS].tolist()):
        first = row * length
        masks = [
            n for n, at in enumerate(chosen.tolist()) if first <= at < first + SHOWN_TOKENS and at < first + length
        ]
        items.append(
            {
                "text": tokenizer.decode([token for token in ids if token not in special]),
                "masks": [
                    {
                        "truth": tokenizer.decode([int(labels[n])]),
                        "predictions": [
                            {"token": tokenizer.decode([int(token)]), "score": round(float(score), 4)}
                            for score, token in zip(top.values[n], top.indices[n], strict=True)
                        ],
                    }
                    for n in masks
                ],
            }
        )
    content = {"mask_token": tokenizer.mask_token, "items": items}
    return json.dumps(content, ensure_ascii=False).encode()
