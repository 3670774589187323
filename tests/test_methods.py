import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from app.errors import InvalidValue
from app.methods import (
    METHODS,
    AudioMaeHyperparameters,
    MaeHyperparameters,
    MlmHyperparameters,
    VideoMaeHyperparameters,
    method_for,
    preset,
)
from app.methods.audio import spectrogram
from app.modalities.audio.mel import MelSettings
from app.types import ModalityName

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
        ({"max_tokens": 10**300}, "max_tokens"),
        ({"schedule": "step"}, "schedule"),
        ({"learnig_rate": 1e-4}, "learnig_rate"),
        ({"mask_token_share": 0.9, "random_token_share": 0.2}, "add up to more than 1"),
        ({"batch_tokens": 64, "sequence_length": 128}, "less than one sequence of 128"),
        ({"batch_tokens": 512, "gradient_accumulation_steps": 8}, "micro-batch holds 64 tokens"),
        ({"n_epochs": 2, "epochs": 2}, "n_epochs\n.*same as epochs"),
        ({"batch_size": 8, "batch_tokens": 512}, "batch_size\n.*same as batch_tokens"),
        ({"batch_size": -3}, "batch_size\n.*at least 1"),
        ({"batch_size": 100_000}, "batch_size\n.*at most 4194304"),
        ({"batch_size": 10**400, "sequence_length": 128.0}, "batch_size\n.*at most 4194304"),
        ({"batch_size": 4, "sequence_length": 0}, "sequence_length"),
    ],
)
def test_what_is_invalid_is_named(given: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        MlmHyperparameters.model_validate(given)


def test_openais_own_names_are_understood() -> None:
    given = {"n_epochs": 3, "batch_size": 8, "learning_rate": "auto", "sequence_length": 64, "batch_tokens": None}
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
    with pytest.raises(ValidationError, match="at least two samples"):
        MaeHyperparameters(batch_size=7, gradient_accumulation_steps=4, contrast_weight=0.1)


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"window_frames": 500}, "patch_size"),
        ({"n_mels": 16}, "patch_size"),
        ({"patch_size": 12}, "patch_size"),
        ({"n_fft": 256}, "win_length"),
        ({"hop_length": 500}, "hop_length"),
        ({"f_max": 9000}, "f_max"),
        ({"f_min": 8000}, "f_max"),
        ({"n_mels": 128, "n_fft": 512}, "n_mels"),
    ],
)
def test_spectrograms_that_cannot_be_are_refused(given: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidValue) as error:
        AudioMaeHyperparameters(**given).check_for(preset("audiomae-tiny"))
    assert error.value.param == param


def test_spectrograms_follow_their_sample_rate() -> None:
    config = preset("audiomae-tiny") or {}
    for given in (
        {},
        {"sample_rate": 8000, "window_frames": 64, "patch_size": 8},
        {"sample_rate": 44_100, "n_mels": 128},
    ):
        AudioMaeHyperparameters(**given).check_for(config)
    mel = spectrogram(config, AudioMaeHyperparameters(sample_rate=8000))
    assert (mel["n_fft"], mel["win_length"], mel["hop_length"]) == (512, 200, 80)
    assert (mel["n_mels"], mel["f_min"], mel["f_max"]) == (64, 20.0, 4000.0)
    with pytest.raises(InvalidValue, match="fixed in a stored model") as error:
        AudioMaeHyperparameters(sample_rate=8000).check_for(None)
    assert error.value.param == "sample_rate"


@pytest.mark.parametrize("name", METHODS["audiomae"].presets)
@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 44_100])
def test_no_band_of_a_preset_is_empty(name: str, rate: int) -> None:
    hyperparameters, config = AudioMaeHyperparameters(sample_rate=rate), preset(name) or {}
    hyperparameters.check_for(config)
    assert MelSettings(**spectrogram(config, hyperparameters)).filters.any(axis=0).all()


@pytest.mark.parametrize(
    ("model", "modality", "architecture", "method"),
    [
        ("bert-mini", None, None, "mlm"),
        ("simmim-tiny", None, None, "simmim"),
        ("videomae-small", None, None, "videomae"),
        ("mine", ModalityName.VIDEO, "videomae", "videomae"),
        ("mine", ModalityName.TEXT, "roberta", "mlm"),
        ("mine", ModalityName.IMAGE, "vit", "simmim"),
        ("mine", ModalityName.IMAGE, "vit_mae", "mae"),
        ("mine", ModalityName.AUDIO, "vit_mae", "audiomae"),
        ("audiomae-tiny", None, None, "audiomae"),
        ("mine", None, None, None),
    ],
)
def test_a_models_method_is_known(
    model: str, modality: ModalityName | None, architecture: str | None, method: str | None
) -> None:
    assert method_for(model, modality, architecture) == method


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"image_size": 60}, "patch_size"),
        ({"image_size": 16, "patch_size": 16}, "patch_size"),
        ({"num_frames": 7}, "tubelet_size"),
        ({"num_frames": 2}, "tubelet_size"),
        ({"tubelet_size": 8}, "tubelet_size"),
    ],
)
def test_patches_must_fill_the_clip(given: dict[str, int], param: str) -> None:
    with pytest.raises(InvalidValue, match="cannot be cut into") as error:
        VideoMaeHyperparameters(**given).check_for(preset("videomae-tiny"))
    assert error.value.param == param


def test_a_stored_model_keeps_its_clips() -> None:
    VideoMaeHyperparameters(num_frames=16, tubelet_size=1, stride=3).check_for(preset("videomae-tiny"))
    for given in ({"num_frames": 8}, {"stride": 2}, {"frame_rate": 12.0}):
        with pytest.raises(InvalidValue, match="fixed in a stored model"):
            VideoMaeHyperparameters(**given).check_for(None)
    VideoMaeHyperparameters(strip_frames=8, mask_strategy="frame").check_for(None)
