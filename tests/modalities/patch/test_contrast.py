import numpy as np
import pytest
import torch

from app.modalities.image.load import load_image
from app.modalities.patch.augment import ImageAugment
from app.modalities.patch.contrast import TEMPERATURE, contrast, encoder_output, pooled
from app.modalities.patch.masking import SAMPLERS
from app.modalities.patch.objective import PatchObjective
from tests.fakes.tiny_images import ARCHITECTURES, SIZE, tiny_image_folder


def draw(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(size=shape)).float()


def test_its_loss_is_the_cross_entropy_of_finding_the_other_view() -> None:
    embeddings = draw(6, 5)
    x = embeddings.numpy().astype(np.float64)
    x = (x - x.mean(0)) / (x.std(0) + 1e-4)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    losses = []
    for view in range(6):
        scores = {other: float(np.exp(x[view] @ x[other] / TEMPERATURE)) for other in range(6) if other != view}
        losses.append(-np.log(scores[view ^ 1] / sum(scores.values())))
    assert float(contrast(embeddings).loss) == pytest.approx(sum(losses) / 2, rel=1e-5)


def test_views_that_agree_are_found_whatever_all_have_in_common() -> None:
    items = draw(4, 16)
    views = items.repeat_interleave(2, 0) + 1e-3 * draw(8, 16) + 100
    told = contrast(views)
    assert told.right == 8
    assert float(told.loss) < 0.2 < float(contrast(draw(8, 16)).loss)


def test_its_loss_is_computed_in_float32_where_the_model_is_not() -> None:
    embeddings = draw(8, 16)
    with torch.autocast("cpu", torch.bfloat16):
        within = contrast(embeddings).loss
    assert within.dtype == torch.float32 and within == contrast(embeddings).loss


def test_one_item_alone_teaches_nothing() -> None:
    embeddings = draw(2, 4).requires_grad_()
    told = contrast(embeddings)
    told.loss.backward()  # type: ignore[no-untyped-call]
    assert float(told.loss.detach()) == 0 and embeddings.grad is not None and not embeddings.grad.any()


def test_what_is_masked_and_what_is_padding_is_not_pooled() -> None:
    encoded = draw(1, 4, 3)
    visible, counted = torch.tensor([[True, False, True, True]]), torch.tensor([[True, True, True, False]])
    expected = encoded[:, [0, 2]].mean(1)
    assert torch.allclose(pooled(encoded, visible, counted), expected)
    assert torch.allclose(pooled(encoded[:, [0, 2, 3]], visible, counted), expected)


@pytest.fixture(params=ARCHITECTURES)
def objective(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> PatchObjective:
    objective = load_image(tiny_image_folder(tmp_path_factory.mktemp("model"), request.param))
    objective.start_training(SAMPLERS["random"], 0.5, ImageAugment(SIZE, 0.5, flip=False), contrast_weight=2.0)
    objective.model.train()
    return objective


def samples(count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, 1, 40, 40, 3), dtype=np.uint8)


def test_an_item_has_two_views_in_training_and_one_in_evaluation(objective: PatchObjective) -> None:
    [sample] = samples(1)
    item = objective.mask_sample(sample, np.random.default_rng(0))
    assert item.other is not None and item.other.other is None
    assert (item.pixels != item.other.pixels).any() and (item.mask != item.other.mask).any()
    batch = objective.collate_masked([item])
    assert len(batch.pixels) == 2 and batch.counts.items == 1 and batch.tokens == 16
    assert objective.mask_sample(sample, np.random.default_rng(0), evaluate=True).other is None


def test_the_loss_is_the_weighted_sum_and_its_figures_are_told(objective: PatchObjective) -> None:
    batch = objective.collate_masked(
        [objective.mask_sample(s, np.random.default_rng(i)) for i, s in enumerate(samples(3))]
    )
    loss, metrics = objective.forward(batch)
    told = objective.summarise(metrics)
    assert float(loss.detach()) == pytest.approx(told["loss"] + 2.0 * told["contrast_loss"], rel=1e-5)
    assert 0 <= told["contrast_accuracy"] <= 1


@torch.no_grad()
def test_its_embeddings_are_means_over_what_the_encoder_sees(objective: PatchObjective) -> None:
    batch = objective.collate_masked(
        [objective.mask_sample(s, np.random.default_rng(i)) for i, s in enumerate(samples(2))]
    )
    with encoder_output(objective.model) as outputs:
        objective.predict(batch)
    [encoded] = outputs
    ours = objective.embed_views(encoded, batch)
    for view, mask in enumerate(batch.mask):
        patches = encoded[view, 1:]  # without the class token
        seen = patches[~mask] if len(patches) == len(mask) else patches
        assert torch.allclose(ours[view], seen.mean(0), atol=1e-5)
