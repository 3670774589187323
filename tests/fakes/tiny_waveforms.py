"""Tiny wav2vec 2.0 models with random weights, and batches for them."""

from pathlib import Path
from typing import Any

import torch
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForPreTraining

RATE = 16_000
FIELDS: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "conv_dim": [16, 16, 16],
    "conv_kernel": [10, 8, 4],
    "conv_stride": [5, 8, 8],  # a frame is 20 ms
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    "num_codevectors_per_group": 6,
    "codevector_dim": 16,
    "proj_codevector_dim": 12,
}


def tiny_wav2vec2_model(**fields: Any) -> Wav2Vec2ForPreTraining:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Wav2Vec2ForPreTraining(Wav2Vec2Config(**FIELDS | fields)).eval()


def tiny_wav2vec2_folder(path: Path, *, head: bool = True, **fields: Any) -> Path:
    """Writes a model folder at `path` and returns it; without `head` it holds the bare encoder."""
    model = tiny_wav2vec2_model(**fields)
    (model if head else model.wav2vec2).save_pretrained(path)
    Wav2Vec2FeatureExtractor(sampling_rate=RATE).save_pretrained(path)
    return path
