"""Tiny models of each architecture, written and loaded once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.modalities.text.load import load_text
from app.modalities.text.objective import TextObjective
from tests.fakes.tiny_models import tiny_text_folder

Folders = Callable[[str], Path]
Load = Callable[[str], TextObjective]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    made: dict[str, Path] = {}

    def folder(architecture: str) -> Path:
        if architecture not in made:
            made[architecture] = tiny_text_folder(tmp_path_factory.mktemp(architecture), architecture)
        return made[architecture]

    return folder


@pytest.fixture(scope="session")
def objectives(folders: Folders) -> Load:
    made: dict[str, TextObjective] = {}

    def load(architecture: str) -> TextObjective:
        if architecture not in made:
            made[architecture] = load_text(folders(architecture))
        return made[architecture]

    return load


@pytest.fixture
def bert(objectives: Load) -> TextObjective:
    return objectives("bert")


@pytest.fixture
def roberta(objectives: Load) -> TextObjective:
    return objectives("roberta")
