"""Mutated files of every accepted format; benchmarks/adversary/fuzz_media.py tries thousands, in child processes."""

import numpy as np
import pytest

from app.media.sniff import ACCEPTED
from benchmarks.adversary.fuzz_media import formats, mutate, outcome

ORIGINALS = formats()

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow on broken tags


def test_every_accepted_format_is_tried() -> None:
    assert set(ORIGINALS) == {name for names in ACCEPTED.values() for name in names}


@pytest.mark.parametrize("name", ORIGINALS)
def test_mutated_files_are_decoded_or_refused(name: str) -> None:
    for seed in range(50):
        generator = np.random.default_rng([20, seed])
        data = mutate(ORIGINALS[name][generator.integers(len(ORIGINALS[name]))], generator)
        assert outcome(data) in ("decoded", "refused"), seed
