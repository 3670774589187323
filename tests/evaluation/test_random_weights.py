"""A random encoder keeps nothing that training has made."""

import dataclasses
from pathlib import Path

import torch
from torch import nn

from app.evaluation.random_weights import load_with_random_weights
from app.modalities.text.load import load_text
from app.modalities.text.objective import TextObjective
from app.modalities.text.pipeline import Dense
from tests.fakes.tiny_models import tiny_bert_folder


def test_modules_behind_the_pooling_are_random_too(tmp_path: Path) -> None:
    plain = load_text(tiny_bert_folder(tmp_path / "tiny"))
    size = int(plain.model.config.hidden_size)
    linear, norm = nn.Linear(size, 8), nn.LayerNorm(8)
    for trained in (*linear.parameters(), *norm.parameters()):
        nn.init.constant_(trained, 3.0)
    head = nn.Sequential(Dense(linear, nn.Tanh()), norm)
    pipeline = dataclasses.replace(plain.pipeline, head=head)
    TextObjective(plain.model, plain.tokenizer, has_head=True, pipeline=pipeline).save(
        tmp_path / "saved", torch.float32
    )

    first, second = (load_with_random_weights(tmp_path / "saved", torch.float32) for _ in range(2))
    weights = [dict(each.further_modules[0].named_parameters()) for each in (first, second)]
    assert set(weights[0]) == {"0.linear.weight", "0.linear.bias", "1.weight", "1.bias"}
    for name, weight in weights[0].items():
        assert not (weight == 3.0).any()
        assert torch.equal(weight, weights[1][name])
