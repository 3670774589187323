from typing import Any

import numpy as np
import pytest

from app.errors import InvalidValue
from app.modalities.patch.masking import SAMPLERS
from app.modalities.reconstruction import MaskDefaults, MaskRequest, draw_masks, touched

DEFAULTS = MaskDefaults("random", 0.75, SAMPLERS)


def test_the_seed_decides_and_windows_differ() -> None:
    first, again, other = (draw_masks(MaskRequest(seed=seed), [8, 8], (8, 8), DEFAULTS) for seed in (3, 3, 4))
    assert first.shape == (2, 8, 8) and first.sum() == 96
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first[0], first[1])


def test_padding_is_never_masked() -> None:
    masks = draw_masks(MaskRequest(ratio=0.5), [4, 3], (4, 2), DEFAULTS)
    assert masks.sum((1, 2)).tolist() == [4, 3] and not masks[1, 3:].any()
    grid = [[0, 1]] * 7
    explicit = draw_masks(MaskRequest(grid=grid), [4, 3], (4, 2), DEFAULTS)
    assert explicit.reshape(8, 2).astype(int).tolist() == [*grid, [0, 0]]


def test_what_is_asked_for_replaces_the_models_own() -> None:
    assert draw_masks(MaskRequest(ratio=0.25), [8], (8, 8), DEFAULTS).sum() == 16
    squares = draw_masks(MaskRequest(strategy="square", ratio=0.5), [8], (8, 8), DEFAULTS)[0]
    assert np.array_equal(squares[::2, ::2], squares[1::2, 1::2])


def test_an_explicit_grid_is_taken_as_it_is() -> None:
    mask = draw_masks(MaskRequest(grid=[[1, 0], [False, True]]), [2], (2, 2), DEFAULTS)
    assert mask.tolist() == [[[True, False], [False, True]]]
    assert draw_masks(MaskRequest(grid=[[1], [0]]), [1, 1], (1, 1), DEFAULTS).tolist() == [[[True]], [[False]]]


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ([[1, 0]], "2 × 2 zeros and ones"),
        ([[1, 0], [1]], "differ in length"),
        ([[1, 0], [2, 0]], "zeros and ones"),
        ([[0, 0], [0, 0]], "masks no patch"),
        ([[1, 1], [1, 1]], "masks every patch"),
        ("all", "zeros and ones"),
    ],
)
def test_a_wrong_grid_is_refused(grid: Any, message: str) -> None:
    with pytest.raises(InvalidValue, match=message) as error:
        draw_masks(MaskRequest(grid=grid), [2], (2, 2), DEFAULTS)
    assert error.value.param == "mask"


@pytest.mark.parametrize(
    ("low", "high", "patches"),
    [(0, 8, [0]), (0, 9, [0, 1]), (7, 8, [0]), (8, 16, [1]), (-5, 1, [0]), (31, 99, [3]), (-9, -1, []), (32, 40, [])],
)
def test_what_is_touched_at_all_is_touched(low: float, high: float, patches: list[int]) -> None:
    assert list(range(4))[touched(low, high, 4, 32)] == patches
