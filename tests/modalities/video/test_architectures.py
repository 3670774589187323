"""That VideoMAE is asked rightly: with our masks, without leaks, and as transformers itself would answer."""

import numpy as np
import pytest
import torch

from app.modalities.patch.masking import mask_tubes
from app.modalities.patch.objective import PatchObjective
from app.modalities.patch.pretrain import MaskedItem
from app.modalities.video.architectures import IMAGE_MEAN, IMAGE_STD, VideoMaeModel
from app.modalities.video.load import load_video
from tests.fakes.tiny_videos import FRAMES, GRID, SIZE, tiny_video_folder, tiny_video_model

COUNT = GRID.count


def clips(count: int = 2) -> torch.Tensor:
    rng = np.random.default_rng(1)
    return torch.from_numpy(rng.normal(size=(count, FRAMES, SIZE, SIZE, 3)).astype(np.float32))


def masks(count: int = 2, masked: int = 24) -> torch.Tensor:
    rng = np.random.default_rng(2)
    return torch.from_numpy(np.stack([rng.permutation(COUNT) < masked for _ in range(count)]))


def swapped(pixels: torch.Tensor) -> torch.Tensor:
    """The first patch in the place of the last, and the other way round."""
    patches = GRID.cut(pixels.numpy()).copy()
    patches[:, [0, -1]] = patches[:, [-1, 0]]
    return torch.from_numpy(GRID.join(patches))


@torch.no_grad()
def test_a_model_from_scratch_knows_where_and_when_a_patch_is() -> None:
    model, pixels = VideoMaeModel(tiny_video_model(), decodes=True), clips()
    order = [COUNT - 1, *range(1, COUNT - 1), 0]
    here, there = model.encode(pixels), model.encode(swapped(pixels))[:, order]
    assert (here - there).abs().max() > 0.1
    mask = torch.zeros(2, COUNT, dtype=torch.bool)
    mask[:, [5, 6, 21]] = True  # 21 is 5 in the next tubelet
    predicted = model.predict(pixels, mask)
    assert all((predicted[:, 0] - predicted[:, other]).abs().max() > 0.1 for other in (1, 2))


@torch.no_grad()
def test_masked_pixels_change_no_prediction() -> None:
    model, pixels, mask = VideoMaeModel(tiny_video_model(), decodes=True), clips(), masks()
    over = torch.from_numpy(np.stack([GRID.enlarge(row) for row in mask.numpy()]))[..., None]
    noise = torch.where(over, torch.full_like(pixels, 50.0), pixels)
    assert torch.equal(model.predict(pixels, mask), model.predict(noise, mask))
    seen = torch.where(over, pixels, pixels + 1)
    assert not torch.allclose(model.predict(pixels, mask), model.predict(seen, mask), atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("normalise", [False, True])
def test_predictions_and_losses_are_those_of_transformers(
    normalise: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    objective = load_video(tiny_video_folder(tmp_path_factory.mktemp("model"), norm_pix_loss=normalise))
    ours, space, mask = objective.patch_model, objective.space, masks()
    windows = np.random.default_rng(3).random((2, FRAMES, SIZE, SIZE, 3), dtype=np.float32)
    pixels = torch.from_numpy(space.normalise(windows))
    theirs = objective.model(pixels.permute(0, 1, 4, 2, 3), bool_masked_pos=mask)
    predicted = ours.predict(pixels, mask)
    assert torch.allclose(predicted, theirs.logits, atol=1e-5)
    scores = [space.scores(*each) for each in zip(windows, mask.numpy(), predicted.numpy(), strict=True)]
    assert np.mean([s.loss for s in scores]) == pytest.approx(float(theirs.loss), rel=1e-4)
    assert training_loss(objective, windows, mask.numpy()) == pytest.approx(float(theirs.loss), rel=1e-4)


def training_loss(objective: PatchObjective, windows: np.ndarray, masks: np.ndarray) -> float:
    objective.start_training(mask_tubes, 0.9, lambda sample, rng: sample)
    items = [objective.mask_sample(window, np.random.default_rng(0)) for window in windows]
    masked = [MaskedItem(**{**vars(item), "mask": row}) for item, row in zip(items, masks, strict=True)]
    return float(objective.forward(objective.collate_masked(masked))[0])


def test_what_is_predicted_perfectly_is_shown_as_it_was(tmp_path_factory: pytest.TempPathFactory) -> None:
    space = load_video(tiny_video_folder(tmp_path_factory.mktemp("model"))).space
    window = np.random.default_rng(0).random((FRAMES, SIZE, SIZE, 3), dtype=np.float32)
    mask = np.arange(COUNT) % 3 == 0
    scores = space.scores(window, mask, GRID.cut(window)[mask])  # it predicts pixels in [0, 1]
    assert scores.loss < 1e-10 and scores.error < 1e-10
    assert np.allclose(scores.predicted, window, atol=1e-5)
    assert np.allclose(space.mean, IMAGE_MEAN) and np.allclose(space.std, IMAGE_STD)


@torch.no_grad()
@pytest.mark.parametrize("masked", [1, 15, COUNT - 1, COUNT])
def test_exactly_the_mask_is_masked_even_if_it_is_all(masked: int) -> None:
    model = VideoMaeModel(tiny_video_model(), decodes=True)
    predicted = model.predict(clips(), masks(masked=masked))
    assert predicted.shape == (2, masked, 2 * 8 * 8 * 3) and torch.isfinite(predicted).all()
