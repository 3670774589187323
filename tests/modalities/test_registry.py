import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from app.errors import InvalidModel
from app.methods import METHODS, PatchHyperparameters, preset
from app.modalities import registry
from app.modalities.descriptor import Modality
from app.modalities.patch.modality import PatchModality
from app.types import ModalityName, Task
from tests.contracts.modalities import CASES
from tests.fakes.tiny_models import tiny_bert_folder
from tests.toy_modality import SENSOR


def test_a_folder_without_manifest_is_known_by_its_model_type(tmp_path: Path) -> None:
    objective = registry.load(tiny_bert_folder(tmp_path))
    assert objective.modality is ModalityName.TEXT
    assert set(objective.tasks) == {Task.FILL_MASK, Task.SCORE, Task.EMBED}


def test_the_manifest_decides(tmp_path: Path) -> None:
    tiny_bert_folder(tmp_path)
    (tmp_path / "manifest.json").write_text('{"modality": "text"}')
    assert registry.load(tmp_path).modality is ModalityName.TEXT
    (tmp_path / "manifest.json").write_text('{"modality": "smell"}')
    with pytest.raises(InvalidModel, match="modality 'smell'"):
        registry.load(tmp_path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ('{"model_type": "gpt2"}', "'gpt2' is not one of albert, .*bart, beit, bert"),
        ("{}", "'None'"),
        ("{", "not JSON"),
    ],
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


def test_a_modality_is_registered_with_its_methods() -> None:
    with registry.registered(SENSOR):
        assert registry.modality_of_method("sensormae") is SENSOR
        assert preset("sensor-tiny") == SENSOR.methods["sensormae"].presets["sensor-tiny"]
        with pytest.raises(ValueError, match="sensor, sensormae"):
            registry.register(SENSOR)
    assert "sensor" not in registry.MODALITIES and "sensormae" not in METHODS


@pytest.mark.parametrize("modality", [*registry.MODALITIES.values(), SENSOR], ids=lambda modality: modality.name)
def test_every_modality_is_complete(modality: Modality) -> None:
    """Fields that agree with each other; tests/contracts holds what models do."""
    assert {method.modality for method in modality.methods.values()} == {modality.name}
    assert any(case.modality == modality.name for case in CASES.values())
    assert modality.examples.keys() <= set(Task)
    if not isinstance(modality, PatchModality):
        return
    for method in modality.methods.values():
        if not issubclass(method.hyperparameters, PatchHyperparameters):
            continue  # wav2vec 2.0 masks frames of a waveform, not patches
        strategies = get_args(get_args(method.hyperparameters.model_fields["mask_strategy"].annotation)[0])
        for config in method.presets.values():
            defaults = modality.geometry(config, method.hyperparameters()).mask_defaults
            assert set(strategies) == set(defaults.samplers)
            assert {defaults.strategy, defaults.eval_strategy} <= set(defaults.samplers)
