import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from app.errors import InvalidModel, InvalidValue
from app.modalities import registry
from app.modalities.audio.load import load_audio
from app.modalities.audio.objective import AudioObjective
from app.modalities.embedding import EmbedItem
from app.modalities.image import IMAGE
from app.modalities.patch.grid import position_table
from app.modalities.patch.mae import MaeModel
from app.modalities.reconstruction import MaskRequest, ReconstructItem, ReconstructResult
from app.types import ModalityName, Pooling, Task
from tests.fakes.perform import perform
from tests.fakes.tiny_audio import (
    FRAMES,
    MEL,
    PATCH,
    WINDOW,
    samples,
    sound,
    sound_file,
    tiny_audio_folder,
    tiny_audio_model,
)
from tests.fakes.tiny_images import tiny_image_folder


@pytest.fixture(scope="module")
def objective(tmp_path_factory: pytest.TempPathFactory) -> AudioObjective:
    return load_audio(tiny_audio_folder(tmp_path_factory.mktemp("model")))


def reconstruct(objective: AudioObjective, content: bytes, **mask: object) -> ReconstructResult:
    [result] = perform(objective.tasks[Task.RECONSTRUCT], [ReconstructItem(content, MaskRequest(**mask))])  # type: ignore[arg-type]
    return result


def embed(objective: AudioObjective, content: bytes, **options: object) -> np.ndarray:
    [result] = perform(objective.tasks[Task.EMBED], [EmbedItem(content, **options)])  # type: ignore[arg-type]
    return np.asarray(result.vector)


def test_a_folder_is_told_from_one_of_images_by_its_processor_file(tmp_path: Path) -> None:
    objective = registry.load(tiny_audio_folder(tmp_path / "sounds"))
    assert objective.modality is ModalityName.AUDIO
    assert set(objective.tasks) == {Task.EMBED, Task.RECONSTRUCT}
    assert registry.identify(tiny_image_folder(tmp_path / "pictures")) is IMAGE


def test_the_trap_that_the_class_is_for_is_still_there() -> None:
    """When this fails, transformers builds every grid itself, and ours can go."""
    with pytest.raises(RuntimeError, match="must match the size"):
        transformers.ViTMAEForPreTraining(tiny_audio_model().config)


@torch.no_grad()
def test_transformers_loads_the_encoder_as_the_card_says(tmp_path: Path) -> None:
    folder = tiny_audio_folder(tmp_path)
    ours, file = load_audio(folder), sound()
    pixels = torch.from_numpy(np.moveaxis(ours.space.normalise(ours.processor.read(file).windows), -1, 1))
    theirs = transformers.ViTMAEModel.from_pretrained(folder, mask_ratio=0.0)
    expected = theirs(pixels).last_hidden_state[0, 1:].mean(0)
    assert np.allclose(embed(ours, file, normalize=False), expected, atol=1e-5)


def test_a_grid_that_is_no_square_has_its_own_positions() -> None:
    model = tiny_audio_model()
    table = torch.from_numpy(position_table((FRAMES // PATCH, MEL.n_mels // PATCH), 32))
    assert torch.equal(model.vit.embeddings.position_embeddings[0], table)
    assert torch.equal(model.decoder.decoder_pos_embed[0], table)
    # A square number of patches, which transformers takes for a square.
    wide = tiny_audio_model(image_size=[64, 16])
    assert torch.equal(wide.decoder.decoder_pos_embed[0], torch.from_numpy(position_table((8, 2), 32)))


@torch.no_grad()
def test_a_square_model_is_that_of_transformers() -> None:
    ours = tiny_audio_model(image_size=32)
    theirs = transformers.ViTMAEForPreTraining(ours.config).eval()
    theirs.load_state_dict(ours.state_dict())
    pixels = torch.randn(2, 1, 32, 32)
    drawn = theirs(pixels, noise=torch.rand(2, 16))
    mask = drawn.mask.bool()
    predicted = MaeModel(ours, decodes=True).predict(pixels.permute(0, 2, 3, 1), mask)
    assert torch.allclose(predicted, drawn.logits[mask].reshape(2, -1, PATCH**2), atol=1e-4)


def test_what_is_saved_loads_again_and_answers_alike(tmp_path: Path, objective: AudioObjective) -> None:
    objective.save(tmp_path, torch.float32)
    second = load_audio(tmp_path)
    assert second.processor == objective.processor
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == ["ViTMAEForPreTraining"]
    results = [reconstruct(o, sound(1)) for o in (objective, second)]
    assert np.array_equal(results[0].predicted, results[1].predicted)


def test_an_encoder_saved_without_a_decoder_embeds_alike_and_can_be_given_one(
    tmp_path: Path, objective: AudioObjective
) -> None:
    tiny_audio_folder(tmp_path, head=False)
    bare = load_audio(tmp_path)
    assert set(bare.tasks) == {Task.EMBED}
    assert np.allclose(embed(bare, sound()), embed(objective, sound()), atol=1e-5)
    headed = load_audio(tmp_path, new_head=True)
    assert headed.new_head and np.isfinite(reconstruct(headed, sound()).predicted).all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_size": [40, 20]}, "cannot be cut"),
        ({"image_size": [40, 8]}, "fewer than 2"),
        ({"num_channels": 3}, "1 channel"),
        ({"image_size": [48, 16]}, "cannot be loaded|does not suit"),
        ({"num_hidden_layers": 3}, "lack"),
    ],
)
def test_what_cannot_be_loaded_says_why(tmp_path: Path, fields: dict[str, object], message: str) -> None:
    path = tiny_audio_folder(tmp_path) / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    with pytest.raises(InvalidModel, match=message):
        load_audio(tmp_path)


def test_an_answer_is_as_long_as_its_sound(objective: AudioObjective) -> None:
    result = reconstruct(objective, sound(0, 1.05))
    assert result.mask.shape == (14, 2)  # 105 frames: two windows of 5 patches, and 4 of the third
    assert result.original.shape == result.predicted.shape == (105, 16, 1)
    assert result.mask.sum() == 8 + 8 + 6  # 80 % of what is no padding
    assert np.array_equal(result.original[~result.pixel_mask], result.predicted[~result.pixel_mask])
    grid = np.zeros((14, 2), int)
    grid[13] = 1
    assert np.array_equal(reconstruct(objective, sound(0, 1.05), grid=grid.tolist()).mask, grid)


def test_a_whole_window_may_be_masked_but_not_the_whole_sound(objective: AudioObjective) -> None:
    result = reconstruct(objective, sound(0, 0.9), ranges=((0.0, WINDOW),))
    assert result.mask[:5].all() and not result.mask[5:].any()
    assert np.isfinite([result.loss, result.psnr]).all() and np.isfinite(result.predicted).all()
    with pytest.raises(InvalidValue, match="masks every patch") as error:
        reconstruct(objective, sound(0, 0.9), ranges=((0.0, 0.9),))
    assert error.value.param == "ranges"


@pytest.mark.parametrize("strategy", ["random", "time", "frequency", "time-frequency"])
def test_strategies_are_those_of_audiomae(objective: AudioObjective, strategy: str) -> None:
    result = reconstruct(objective, sound(0, 0.8), strategy=strategy, ratio=0.4, seed=3)
    assert result.mask.sum() == 8
    if strategy == "time":
        assert (result.mask[:, 0] == result.mask[:, 1]).all()


def test_padding_counts_in_no_figure(objective: AudioObjective) -> None:
    """A sound of which most of the window is padding, beside one that goes on silently instead."""
    wave = samples(0, 0.16)
    wave[-200:] = 0  # so that no frame beyond its end hears it
    content, longer = sound_file(wave), sound_file(np.concatenate([wave, np.zeros(1920, np.float32)]))
    short, long = (reconstruct(objective, each, ranges=((0.0, 0.08),)) for each in (content, longer))
    assert short.mask.shape == (2, 2) and long.mask.shape == (5, 2)
    error = np.square(short.predicted - short.original)[short.pixel_mask].mean()
    assert short.pixel_mask.shape[0] == 16 and short.psnr == pytest.approx(-10 * np.log10(error), abs=1e-3)
    assert short.baselines["mean"] != pytest.approx(long.baselines["mean"], abs=0.1)
    patches = perform(objective.tasks[Task.EMBED], [EmbedItem(content, output="tokens", normalize=False)])
    pooled = embed(objective, content, normalize=False)
    assert np.allclose(pooled, patches[0].vector[1 : 1 + 4].mean(0), atol=1e-5)


def test_padding_is_masked_as_it_was_in_training(objective: AudioObjective) -> None:
    """Else a short sound shows the model far more than it has ever seen, and it guesses badly."""
    handler = objective.tasks[Task.RECONSTRUCT]
    item = ReconstructItem(sound_file(samples(0, 0.16)), MaskRequest(seed=3))
    [mask] = handler.prepare(item).inputs.mask.reshape(1, *objective.space.grid.shape)
    assert mask[2:].mean() == pytest.approx(objective.mask_defaults.ratio, abs=0.1)
    assert np.array_equal(mask, handler.prepare(item).inputs.mask.reshape(mask.shape))


@pytest.mark.parametrize("content", [sound(0, 1 / 8000), sound_file(np.zeros(4000))])
def test_the_shortest_sound_and_silence_are_answered(objective: AudioObjective, content: bytes) -> None:
    result = reconstruct(objective, content)
    assert np.isfinite([result.loss, result.psnr, *result.baselines.values()]).all()
    assert np.isfinite(embed(objective, content)).all()


def test_windows_are_embedded_one_by_one_with_their_times(objective: AudioObjective) -> None:
    content = sound(0, 1.0)
    [result] = perform(objective.tasks[Task.EMBED], [EmbedItem(content, output="windows", normalize=False)])
    assert result.vector.shape == (3, 32)
    assert result.times == (pytest.approx((0, WINDOW)), pytest.approx((WINDOW, 0.8)), pytest.approx((0.8, 1.0)))
    first = sound_file(samples(0, 1.0)[: round(WINDOW * 8000)])
    assert np.allclose(result.vector[0], embed(objective, first, normalize=False), atol=0.05)
    whole = embed(objective, content, normalize=False)
    assert np.allclose(whole, np.average(result.vector, axis=0, weights=[5, 5, 3]), atol=1e-5)
    cls = embed(objective, content, pooling=Pooling.CLS, output="windows")
    assert cls.shape == (3, 32) and np.allclose(np.linalg.norm(cls, axis=1), 1)


def test_unknown_strategies_are_refused(objective: AudioObjective) -> None:
    with pytest.raises(InvalidValue, match="time-frequency"):
        reconstruct(objective, sound(), strategy="block")


def test_what_is_held_for_an_embedding_is_no_samples(objective: AudioObjective) -> None:
    prepared = objective.tasks[Task.EMBED].prepare(EmbedItem(sound(0, 1.0)))
    assert prepared.context.media.info is None
