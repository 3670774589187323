"""Damaged data sets are read or refused, and nothing else; benchmarks/adversary/fuzz_datasets.py tries far more."""

import random
from pathlib import Path

import pytest

from tests.fakes.datasets import mutate, read, samples

SAMPLES = list(samples())


@pytest.mark.parametrize(
    ("name", "data", "is_media"), SAMPLES, ids=[f"{'media' if sample[2] else 'text'}-{sample[0]}" for sample in SAMPLES]
)
def test_fifty_damaged_files_of_each_format_raise_nothing_else(
    tmp_path: Path, name: str, data: bytes, is_media: bool
) -> None:
    path = tmp_path / "content"
    path.write_bytes(data)
    assert read(path, name, is_media) == ""
    rng = random.Random(f"test {name}")
    for _ in range(50):
        path.write_bytes(mutate(data, rng))
        read(path, name, is_media)
