"""That models are asked rightly: with our masks, without leaks, and as transformers itself would answer."""

import numpy as np
import pytest
import torch
from transformers import ViTMAEForPreTraining

from app.modalities.image.architectures import SimMimModel
from app.modalities.patch.mae import MaeModel
from app.modalities.patch.model import PatchModel
from tests.fakes.tiny_images import ARCHITECTURES, PATCH, SIZE, tiny_image_model

COUNT = (SIZE // PATCH) ** 2


def patch_model(architecture: str, **settings: object) -> PatchModel:
    model = tiny_image_model(architecture, **settings)
    return MaeModel(model, decodes=True) if architecture == "vit_mae" else SimMimModel(model, decodes=True)


def images(count: int = 2, channels: int = 3) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).normal(size=(count, SIZE, SIZE, channels)).astype(np.float32))


def masks(count: int = 2, masked: int = 12) -> torch.Tensor:
    rng = np.random.default_rng(2)
    return torch.from_numpy(np.stack([rng.permutation(COUNT) < masked for _ in range(count)]))


def swapped(pixels: torch.Tensor) -> torch.Tensor:
    """The first patch in the place of the last, and the other way round."""
    pixels = pixels.clone()
    first = pixels[:, :PATCH, :PATCH].clone()
    pixels[:, :PATCH, :PATCH] = pixels[:, -PATCH:, -PATCH:]
    pixels[:, -PATCH:, -PATCH:] = first
    return pixels


@torch.no_grad()
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_model_from_scratch_knows_where_a_patch_is(architecture: str) -> None:
    model, pixels = patch_model(architecture), images()
    order = [0, COUNT, *range(2, COUNT), 1]
    here, there = model.encode(pixels), model.encode(swapped(pixels))[:, order]
    assert (here - there).abs().max() > 0.1  # the very same, in another order, if positions meant nothing
    mask = torch.zeros(2, COUNT, dtype=torch.bool)
    mask[:, 5:8] = True
    predicted = model.predict(pixels, mask)
    assert (predicted[:, 0] - predicted[:, 1]).abs().max() > 0.1  # masked patches are told apart
    assert (predicted - model.predict(swapped(pixels), mask)).abs().max() > 0.1


@torch.no_grad()
def test_transformers_alone_would_not_know() -> None:
    """The trap that `start_mae` is for; when this fails, it has been mended and can go."""
    model = MaeModel(ViTMAEForPreTraining(tiny_image_model().config).eval(), decodes=True)
    pixels = images()
    order = [0, COUNT, *range(2, COUNT), 1]
    assert torch.allclose(model.encode(pixels), model.encode(swapped(pixels))[:, order], atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("channels", [1, 3])
def test_masked_pixels_change_no_prediction(architecture: str, channels: int) -> None:
    model, pixels, mask = patch_model(architecture, channels=channels), images(channels=channels), masks()
    over = torch.from_numpy(np.stack([model.grid.enlarge(row) for row in mask.numpy()]))
    noise = torch.where(over[..., None], torch.full_like(pixels, 50.0), pixels)
    assert torch.equal(model.predict(pixels, mask), model.predict(noise, mask))
    seen = torch.where(over[..., None], pixels, pixels + 1)
    assert not torch.allclose(model.predict(pixels, mask), model.predict(seen, mask), atol=1e-3)


@torch.no_grad()
def test_mae_answers_as_transformers_does() -> None:
    ours, pixels = patch_model("vit_mae"), images()
    drawn = ours.model(pixels.permute(0, 3, 1, 2), noise=torch.rand(2, COUNT))
    mask = drawn.mask.bool()
    theirs = drawn.logits[mask].reshape(2, -1, drawn.logits.shape[-1])
    assert torch.allclose(ours.predict(pixels, mask), theirs, atol=1e-4)
    assert ours.model.config.mask_ratio == 0.75


@torch.no_grad()
def test_simmim_answers_as_transformers_does() -> None:
    ours, pixels, mask = patch_model("vit"), images(), masks()
    theirs = ours.model(pixels.permute(0, 3, 1, 2), bool_masked_pos=mask).reconstruction.permute(0, 2, 3, 1)
    patches = torch.from_numpy(ours.grid.cut(theirs.numpy()))[mask].reshape(2, 12, -1)
    assert torch.allclose(ours.predict(pixels, mask), patches, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("masked", [1, 7, 15])
def test_exactly_the_mask_is_masked(architecture: str, masked: int) -> None:
    model = patch_model(architecture)
    assert model.predict(images(), masks(masked=masked)).shape == (2, masked, PATCH * PATCH * 3)


@torch.no_grad()
def test_embedding_sees_all_patches_in_order() -> None:
    model, pixels = patch_model("vit_mae"), images()
    tokens = model.encode(pixels)
    assert tokens.shape == (2, 1 + COUNT, 32)
    assert torch.allclose(tokens, model.encode(pixels))
    changed = pixels.clone()
    changed[:, :PATCH, :PATCH] += 5
    moved = (model.encode(changed) - tokens).abs().amax((0, 2))
    assert moved[1:].argmax() == 0
