import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.errors import InvalidData, InvalidModel, InvalidValue
from app.modalities.image.processor import FILE, ImageProcessor, load_processor
from app.modalities.patch.grid import PatchGrid
from app.modalities.reconstruction import MaskRequest
from tests.fakes.tiny_images import picture

GRID = PatchGrid((32, 32), (8, 8), 3)


@pytest.mark.parametrize(
    ("config", "squeeze", "share"),
    [
        ({"size": 32, "feature_extractor_type": "ViTFeatureExtractor"}, True, 1.0),
        ({"size": {"height": 32, "width": 32}}, True, 1.0),
        ({"size": {"shortest_edge": 40}, "do_center_crop": True, "crop_size": {"height": 32, "width": 32}}, False, 0.8),
        ({"size": 32, "do_center_crop": True, "crop_size": 32}, False, 1.0),
        ({"size": {"height": 64, "width": 64}, "do_center_crop": True, "crop_size": 32}, True, 0.5),
    ],
)
def test_processor_files_of_every_age_are_understood(
    tmp_path: Path, config: dict[str, Any], squeeze: bool, share: float
) -> None:
    (tmp_path / FILE).write_text(json.dumps(config | {"image_mean": [0.4, 0.5, 0.6], "image_std": 0.25}))
    processor = load_processor(tmp_path, GRID)
    assert (processor.squeeze, processor.share) == (squeeze, share)
    assert (processor.mean, processor.std) == ((0.4, 0.5, 0.6), (0.25, 0.25, 0.25))


@pytest.mark.parametrize(
    "config",
    [
        {"rescale_factor": 1.0},
        {"image_mean": [0.5, 0.5]},
        {"size": {}},
        {"size": 16, "do_center_crop": True, "crop_size": 32},
        {"size": "large"},
        [],
    ],
)
def test_processor_files_that_mean_nothing_are_refused(tmp_path: Path, config: Any) -> None:
    (tmp_path / FILE).write_text(json.dumps(config))
    with pytest.raises(InvalidModel, match=FILE):
        load_processor(tmp_path, GRID)


@pytest.mark.parametrize("squeeze", [True, False])
@pytest.mark.parametrize(("width", "height"), [(64, 48), (48, 64), (1, 1), (500, 3)])
def test_any_shape_of_image_becomes_the_models_square(squeeze: bool, width: int, height: int) -> None:
    given = ImageProcessor(GRID, squeeze).read(picture(width=width, height=height))
    assert given.windows.shape == (1, 32, 32, 3)
    assert given.windows.dtype == np.float32
    assert given.windows.min() >= 0 and given.windows.max() <= 1


def test_what_is_no_image_is_refused() -> None:
    with pytest.raises(InvalidData):
        ImageProcessor(GRID).read(b"not an image")


def place(processor: ImageProcessor, box: tuple[float, ...], width: int = 64, height: int = 32) -> list[list[int]]:
    given = processor.read(picture(width=width, height=height))
    mask = processor.place(MaskRequest(boxes=(box,)), given)  # type: ignore[arg-type]
    return np.argwhere(mask[0]).tolist()


def test_boxes_are_in_pixels_of_the_image_as_sent() -> None:
    # Of 64 × 32 pixels the middle half is seen: columns 16 to 48.
    processor = ImageProcessor(GRID)
    assert place(processor, (16, 0, 24, 8)) == [[0, 0]]
    assert place(processor, (40, 24, 64, 32)) == [[3, 3]]
    assert place(processor, (0, 0, 16, 32)) == []
    assert place(processor, (23, 7, 25, 9)) == [[0, 0], [0, 1], [1, 0], [1, 1]]
    # Squeezed, all of it is.
    assert place(ImageProcessor(GRID, squeeze=True), (0, 0, 16, 8)) == [[0, 0]]


@pytest.mark.parametrize("box", [(0, 0, 65, 8), (8, 8, 8, 9), (9, 8, 8, 9), (-1, 0, 8, 8), (float("nan"), 0, 8, 8)])
def test_boxes_outside_the_image_are_refused(box: tuple[float, ...]) -> None:
    with pytest.raises(InvalidValue, match="64 × 32 pixels") as error:
        place(ImageProcessor(GRID), box)
    assert error.value.param == "boxes"


def test_images_have_no_seconds() -> None:
    processor = ImageProcessor(GRID)
    with pytest.raises(InvalidValue, match="seconds"):
        processor.place(MaskRequest(ranges=((0, 1),)), processor.read(picture()))
