"""Tiny models of each architecture, written and loaded once."""

from collections.abc import Callable
from typing import Any

import pytest

from app.modalities.image.load import load_image
from app.modalities.image.objective import ImageObjective
from tests.fakes.tiny_images import tiny_image_folder

Load = Callable[..., ImageObjective]


@pytest.fixture(scope="session")
def objectives(tmp_path_factory: pytest.TempPathFactory) -> Load:
    made: dict[str, ImageObjective] = {}

    def load(architecture: str, **settings: Any) -> ImageObjective:
        key = f"{architecture}{settings}"
        if key not in made:
            made[key] = load_image(tiny_image_folder(tmp_path_factory.mktemp("model"), architecture, **settings))
        return made[key]

    return load
