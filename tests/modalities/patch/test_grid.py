import numpy as np
import pytest
import torch
from transformers import ViTMAEConfig, ViTMAEForPreTraining

from app.modalities.patch.grid import (
    PatchGrid,
    interpolate,
    mean_fill,
    normalise_patches,
    position_table,
    psnr,
    statistics_around,
)

GRIDS = [PatchGrid((8, 12), (4, 4), 3), PatchGrid((16, 8), (4, 2), 1), PatchGrid((4, 8, 12), (2, 4, 4), 3)]


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


@pytest.mark.parametrize("grid", GRIDS)
def test_joining_undoes_cutting(grid: PatchGrid) -> None:
    items = random(2, *grid.sizes, grid.channels)
    patches = grid.cut(items)
    assert patches.shape == (2, grid.count, np.prod(grid.patch) * grid.channels)
    assert np.array_equal(grid.join(patches), items)
    assert np.array_equal(grid.cut(items[1]), patches[1])


def test_patches_are_those_of_mae() -> None:
    config = ViTMAEConfig(
        image_size=8, patch_size=4, hidden_size=8, num_hidden_layers=0, num_attention_heads=1,
        decoder_hidden_size=8, decoder_num_hidden_layers=0, decoder_num_attention_heads=1,
    )  # fmt: skip
    images = random(2, 8, 8, 3)
    theirs = ViTMAEForPreTraining(config).patchify(torch.from_numpy(images).permute(0, 3, 1, 2))
    assert np.array_equal(PatchGrid((8, 8), (4, 4), 3).cut(images), theirs.numpy())


def test_an_item_must_fall_into_whole_patches() -> None:
    with pytest.raises(ValueError, match="whole patches"):
        PatchGrid((8, 10), (4, 4), 3)


@pytest.mark.parametrize("grid", GRIDS)
def test_a_mask_is_enlarged_to_its_patches(grid: PatchGrid) -> None:
    mask = np.random.default_rng(0).random(grid.count) < 0.5
    pixels = grid.enlarge(mask)[..., None].repeat(grid.channels, -1)
    assert np.array_equal(grid.cut(pixels).all(-1), mask)
    assert np.array_equal(grid.cut(pixels).any(-1), mask)


def test_every_position_differs_and_the_class_token_has_none() -> None:
    table = position_table((5, 7), 32)
    assert table.shape == (36, 32)
    assert not table[0].any()
    assert len(np.unique(table, axis=0)) == 36
    with pytest.raises(ValueError, match="multiple of 4"):
        position_table((2, 2), 6)


def test_normalised_patches_have_mean_zero_and_deviation_one() -> None:
    patches = random(5, 48)
    normal, mean, deviation = normalise_patches(patches)
    assert np.allclose(normal.mean(-1), 0, atol=1e-5)
    assert np.allclose(normal.std(-1, ddof=1), 1, atol=1e-3)
    assert np.allclose(normal * deviation + mean, patches, atol=1e-5)


def test_patches_may_be_normalised_in_each_channel_by_itself() -> None:
    patches = random(5, 48)
    normal, mean, deviation = normalise_patches(patches, channels=3)
    pixels = normal.reshape(5, 16, 3)
    assert mean.shape == deviation.shape == (5, 3)
    assert np.allclose(pixels.mean(1), 0, atol=1e-5) and np.allclose(pixels.std(1, ddof=1), 1, atol=1e-4)
    assert np.allclose(pixels * deviation[:, None] + mean[:, None], patches.reshape(5, 16, 3), atol=1e-5)


@pytest.mark.parametrize("grid", GRIDS)
def test_baselines_keep_what_is_known_and_read_nothing_else(grid: PatchGrid) -> None:
    item = random(*grid.sizes, grid.channels)
    known = ~grid.enlarge(np.arange(grid.count) % 3 != 0)
    for fill in (mean_fill, interpolate):
        filled = fill(item, known)
        assert filled.dtype == np.float32
        assert np.array_equal(filled[known], item[known])
        assert np.array_equal(fill(np.where(known[..., None], item, np.float32(9)), known), filled)
        assert filled.min() >= item[known].min() - 1e-6 and filled.max() <= item[known].max() + 1e-6


def test_where_nothing_is_known_both_baselines_are_grey() -> None:
    item = random(4, 4, 3)
    for fill in (mean_fill, interpolate):
        assert (fill(item, np.zeros((4, 4), bool)) == 0.5).all()


def test_interpolation_follows_a_slope_that_the_mean_misses() -> None:
    slope = np.linspace(0, 1, 32, dtype=np.float32)[None, :, None].repeat(32, 0)
    known = np.random.default_rng(0).random((32, 32)) < 0.3
    errors = [np.square(fill(slope, known) - slope)[~known].mean() for fill in (mean_fill, interpolate)]
    assert errors[1] < errors[0] / 100


def test_statistics_of_masked_patches_come_from_the_visible_ones() -> None:
    patches = random(16, 12)
    mask = np.arange(16) % 2 == 0
    mean, deviation = statistics_around(patches, mask, (4, 4))
    assert mean.shape == deviation.shape == (8, 1)
    patches[mask] = 7
    again = statistics_around(patches, mask, (4, 4))
    assert np.array_equal(mean, again[0]) and np.array_equal(deviation, again[1])


def test_statistics_may_be_those_of_each_channel() -> None:
    patches = np.tile(np.float32([0.1, 0.5, 0.9]), (8, 4)) + 0.01 * random(8, 12)
    mask = np.arange(8) % 2 == 0
    mean, deviation = statistics_around(patches, mask, (2, 2, 2), channels=3)
    assert mean.shape == deviation.shape == (4, 3)
    assert np.allclose(mean, [0.1, 0.5, 0.9], atol=0.05) and (deviation < 0.05).all()


def test_psnr_is_in_decibels() -> None:
    assert psnr(0.01) == pytest.approx(20)
    assert psnr(0.0) == 100
