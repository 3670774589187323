import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from app.errors import InvalidValue
from app.recipes import METHODS, MaeHyperparameters, MlmHyperparameters, method_for, preset
from app.types import Modality

PAGE = (Path(__file__).parents[1] / "docs" / "pretraining.md").read_text(encoding="utf-8")


def test_the_page_has_every_hyperparameter_and_no_other() -> None:
    named = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert len(named) == len(set(named))
    assert set(named) == {name for method in METHODS.values() for name in method.hyperparameters.model_fields}


def test_the_page_has_every_preset() -> None:
    for method in METHODS.values():
        for name in method.presets:
            assert f"`{name}`" in PAGE
            assert preset(name) == method.presets[name]
    assert preset("gpt-2") is None


def test_the_defaults_are_valid() -> None:
    for method in METHODS.values():
        method.hyperparameters.model_validate(method.hyperparameters().model_dump())


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"learning_rate": 0}, "learning_rate"),
        ({"masking_rate": 1.0}, "masking_rate"),
        ({"max_steps": "many"}, "max_steps"),
        ({"schedule": "step"}, "schedule"),
        ({"learnig_rate": 1e-4}, "learnig_rate"),
        ({"mask_token_share": 0.9, "random_token_share": 0.2}, "add up to more than 1"),
        ({"batch_tokens": 64, "sequence_length": 128}, "less than one sequence of 128"),
        ({"batch_tokens": 512, "gradient_accumulation_steps": 8}, "micro-batch holds 64 tokens"),
    ],
)
def test_what_is_invalid_is_named(given: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        MlmHyperparameters.model_validate(given)


def test_openais_own_names_are_understood() -> None:
    given = {"n_epochs": 3, "batch_size": 8, "learning_rate": "auto", "sequence_length": 64}
    ours = MlmHyperparameters.model_validate(given)
    assert (ours.epochs, ours.batch_tokens, ours.learning_rate) == (3, 512, None)


@pytest.mark.parametrize(
    ("given", "most"),
    [
        ({}, 3),
        ({"keep_checkpoints": 5, "early_stopping_patience": 2}, 7),
        ({"early_stopping_patience": 2, "schedule": "warmup-stable-decay"}, 5),
    ],
)
def test_the_disk_holds_the_checkpoints_that_last_and_one_more(given: dict[str, Any], most: int) -> None:
    assert MlmHyperparameters(**given).most_checkpoints == most


def test_a_presets_base_tokenizer_needs_a_model() -> None:
    hyperparameters = MlmHyperparameters(tokenizer="base")
    with pytest.raises(InvalidValue, match="tokenizer of its own") as error:
        hyperparameters.check_for(preset("bert-tiny"))
    assert error.value.param == "tokenizer_model"
    hyperparameters.check_for(None)


def test_patches_must_fill_the_image() -> None:
    with pytest.raises(InvalidValue, match="cannot be cut into patches of 16") as error:
        MaeHyperparameters(image_size=40, patch_size=16).check_for(preset("mae-tiny"))
    assert error.value.param == "patch_size"
    MaeHyperparameters(image_size=40).check_for(preset("mae-tiny"))
    with pytest.raises(InvalidValue, match="fixed in a stored model"):
        MaeHyperparameters(channels=1).check_for(None)
    with pytest.raises(ValidationError, match="micro-batches"):
        MaeHyperparameters(batch_size=4, gradient_accumulation_steps=8)


@pytest.mark.parametrize(
    ("model", "modality", "architecture", "method"),
    [
        ("bert-mini", None, None, "mlm"),
        ("simmim-tiny", None, None, "simmim"),
        ("mine", Modality.TEXT, "roberta", "mlm"),
        ("mine", Modality.IMAGE, "vit", "simmim"),
        ("mine", Modality.IMAGE, "vit_mae", "mae"),
        ("mine", None, None, None),
    ],
)
def test_a_models_method_is_known(
    model: str, modality: Modality | None, architecture: str | None, method: str | None
) -> None:
    assert method_for(model, modality, architecture) == method
