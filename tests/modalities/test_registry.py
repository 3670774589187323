import subprocess
import sys
from pathlib import Path

import pytest

from app.errors import InvalidModel
from app.modalities import registry
from app.types import Modality, Task
from tests.fakes.tiny_models import tiny_bert_folder


def test_a_folder_without_manifest_is_known_by_its_model_type(tmp_path: Path) -> None:
    objective = registry.load(tiny_bert_folder(tmp_path))
    assert objective.modality is Modality.TEXT
    assert set(objective.tasks) == {Task.FILL_MASK, Task.SCORE, Task.EMBED}


def test_the_manifest_decides(tmp_path: Path) -> None:
    tiny_bert_folder(tmp_path)
    (tmp_path / "manifest.json").write_text('{"modality": "text"}')
    assert registry.load(tmp_path).modality is Modality.TEXT
    (tmp_path / "manifest.json").write_text('{"modality": "smell"}')
    with pytest.raises(InvalidModel, match="modality 'smell'"):
        registry.load(tmp_path)


@pytest.mark.parametrize(
    ("config", "message"),
    [('{"model_type": "gpt2"}', "'gpt2' is not one of albert, bert"), ("{}", "'None'"), ("{", "not JSON")],
)
def test_unknown_models_are_refused(tmp_path: Path, config: str, message: str) -> None:
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(InvalidModel, match=message):
        registry.load(tmp_path)


def test_an_empty_or_absent_folder_holds_no_model(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InvalidModel, match=r"no readable config\.json"):
            registry.load(folder)


def test_descriptors_are_imported_without_torch() -> None:
    code = "import sys; from app.modalities import registry; print({'torch', 'transformers'} & sys.modules.keys())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"
