"""What a job on media will take, said in the answer to it."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient
from transformers import PreTrainedModel, Wav2Vec2Config, Wav2Vec2ForPreTraining

from app.datasets.samples import MediaSample, check_samples
from app.jobs.spec import Progress
from app.media.lengths import Length
from app.methods import METHODS, AudioMaeHyperparameters, MaeHyperparameters, VideoMaeHyperparameters, preset
from app.modalities.audio.decoding import audio_decoding
from app.modalities.audio.geometry import audio_geometry
from app.modalities.audio.processor import AudioProcessor
from app.modalities.estimator import CheckedFiles, Cost
from app.modalities.image.builder import build_preset
from app.modalities.image.decoding import image_decoding
from app.modalities.image.geometry import image_geometry
from app.modalities.media_amount import file_amount
from app.modalities.patch.estimator import item_rows
from app.modalities.patch.mae import build_mae, grid_of
from app.modalities.patch.modality import PatchModality
from app.modalities.registry import modality_of_method
from app.modalities.video.architectures import IMAGE_MEAN, IMAGE_STD
from app.modalities.video.architectures import build_preset as build_clips
from app.modalities.video.decoding import video_decoding
from app.modalities.video.geometry import video_geometry
from app.modalities.video.processor import VideoProcessor
from app.store.store import ModelStore
from app.submission.estimates import estimate
from app.system.process_pool import ProcessPool
from app.training.data.media_shards import decode_file
from app.training.data.source_file import SourceFile
from app.training.loop.checkpoint import disk_bytes
from app.types import ModalityName, Task
from tests.api.conftest import publish
from tests.fakes.image_data import picture_zip
from tests.fakes.jobs import JobSystem
from tests.fakes.media import fixture
from tests.fakes.tiny_audio import FRAMES, MEL, sound_zip, tiny_audio_model
from tests.fakes.tiny_videos import CLIP, GRID, video_zip

PATH = "/v1/pretraining/jobs"
SMALL = {"image_size": 32, "batch_size": 8}  # of patches of 8 pixels: 16


@pytest.fixture
def pictures(jobs_client: TestClient, tmp_path: Path) -> str:
    return upload(jobs_client, picture_zip(tmp_path / "pictures.zip", 40))


def upload(client: TestClient, file: Path) -> str:
    answer = client.post("/v1/files", files={"file": (file.name, file.read_bytes())})
    return str(answer.json()["id"])


def ask(client: TestClient, *files: Any, model: str = "mae-tiny", **changes: Any) -> Any:
    hyperparameters = changes.pop("hyperparameters", SMALL)
    body = {"model": model, "training_files": list(files), "hyperparameters": hyperparameters, **changes}
    return client.post(PATH, json=body).json()


def test_pictures_are_counted(jobs_client: TestClient, jobs: JobSystem, pictures: str) -> None:
    first = ask(jobs_client, pictures, hyperparameters=SMALL | {"epochs": 2, "validation_fraction": 0.1})
    estimate = first["estimate"]
    assert (estimate["documents"], estimate["samples"], estimate["tokens"]) == (40, 40, 40 * 16)
    assert (estimate["training_tokens"], estimate["seconds"], estimate["sampled"]) == (2 * 36 * 16, None, False)
    assert jobs_client.get(f"{PATH}/{first['id']}").json()["estimate"] == estimate

    claim = jobs.queue.claim("worker", 60)
    assert claim is not None
    jobs.queue.set_progress(claim, Progress(tokens=1000, tokens_per_second=100.0))
    jobs.queue.succeed(claim, "mine@1")
    step = {"max_steps": 10}
    same = ask(jobs_client, pictures, hyperparameters=SMALL | step)["estimate"]
    assert (same["training_tokens"], same["seconds"]) == (10 * 8 * 16, 12.8)
    deeper = ask(jobs_client, pictures, hyperparameters=SMALL | step | {"decoder_layers": 8})["estimate"]
    assert 1.5 < deeper["seconds"] / same["seconds"] < 4
    other = ask(jobs_client, pictures, model="simmim-tiny", hyperparameters=SMALL | step)["estimate"]
    assert other["seconds"] is None  # of another method


def test_weights_and_files_of_both_kinds_count(jobs_client: TestClient, pictures: str, tmp_path: Path) -> None:
    second = upload(jobs_client, picture_zip(tmp_path / "more.zip", 10))
    weighted = ask(jobs_client, {"id": pictures, "weight": 0.5}, second, validation_file=second)["estimate"]
    assert (weighted["documents"], weighted["training_tokens"]) == (50, (20 + 10) * 16)
    alone = ask(jobs_client, pictures, second)["estimate"]
    assert weighted["disk_bytes"] - alone["disk_bytes"] == 10 * 40 * 40 * 3  # the validation file is decoded too


def test_long_sounds_are_several_samples(jobs_client: TestClient, tmp_path: Path) -> None:
    file = upload(jobs_client, sound_zip(tmp_path / "sounds.zip", 6, seconds=1.2, broken=2))
    hyperparameters = {"sample_rate": 8000, "window_frames": 48, "n_mels": 32, "batch_size": 4}
    estimate = ask(jobs_client, file, model="audiomae-tiny", hyperparameters=hyperparameters)["estimate"]
    assert (estimate["documents"], estimate["samples"], estimate["tokens"]) == (6, 12, 12 * 3 * 2)


def test_waveforms_count_the_frames_of_their_crops(jobs_client: TestClient, tmp_path: Path) -> None:
    file = upload(jobs_client, sound_zip(tmp_path / "sounds.zip", 6, seconds=1.2))
    given = {"crop_seconds": 0.5, "batch_size": 4, "max_steps": 10}
    estimate = ask(jobs_client, file, model="wav2vec2-tiny", hyperparameters=given)["estimate"]
    assert (estimate["documents"], estimate["samples"]) == (6, 12)  # of 0.6 seconds each
    assert (estimate["tokens"], estimate["training_tokens"]) == (12 * 24, 10 * 4 * 24)


@pytest.mark.parametrize(
    ("names", "message"), [(["photo.jpg"], "one usable file is too little"), (["tone.flac"], "expected an image")]
)
def test_what_cannot_be_trained_on_is_refused_at_once(
    jobs_client: TestClient, tmp_path: Path, pictures: str, names: list[str], message: str
) -> None:
    with zipfile.ZipFile(tmp_path / "few.zip", "w") as archive:
        for name in names:
            archive.writestr(name, fixture(name))
    file = upload(jobs_client, tmp_path / "few.zip")
    error = ask(jobs_client, file)["error"]
    assert (error["code"], error["param"]) == ("invalid_data", "training_file")
    assert message in error["message"]
    if names == ["photo.jpg"]:
        assert ask(jobs_client, file, validation_file=pictures)["estimate"]["documents"] == 1
        assert ask(jobs_client, file, pictures)["estimate"]["documents"] == 41


def build_waves(config: dict[str, Any]) -> PreTrainedModel:
    fields = {name: value for name, value in config.items() if name != "model_type"}
    with torch.device("meta"):
        return Wav2Vec2ForPreTraining(Wav2Vec2Config(**fields))


@pytest.mark.parametrize(
    ("model", "build", "rel"),
    [
        ("mae-small", build_preset, 0.01),
        ("simmim-tiny", build_preset, 0.01),
        ("audiomae-tiny", build_mae, 0.01),
        ("wav2vec2-tiny", build_waves, 0.01),
        ("wav2vec2-base", build_waves, 0.01),
        ("videomae-tiny", build_clips, 0.05),  # whose tables of positions are no parameters
    ],
)
def test_the_size_of_a_preset_is_known_without_building_it(
    model: str, build: Callable[..., PreTrainedModel], rel: float, store: ModelStore
) -> None:
    config = {k: v for k, v in (preset(model) or {}).items() if k not in ("sample_rate", "stride")}
    assert cost_of(model, store).parameters == pytest.approx(build(config).num_parameters(), rel=rel)


def cost_of(model: str, store: ModelStore, **given: Any) -> Cost:
    name, method = next((name, m) for name, m in METHODS.items() if model in m.presets)
    estimator = modality_of_method(name).estimator(name)
    found = estimator.cost(model, method.hyperparameters(**given), lambda stored: store.resolve(stored).path)
    assert found is not None
    return found


def test_every_preset_on_media_has_an_estimate(store: ModelStore) -> None:
    files = CheckedFiles([MediaSample(100, 0.1, (Length(4.0), Length(21.0)))], [1.0], None)
    for method_name, method in METHODS.items():
        if not isinstance(modality_of_method(method_name), PatchModality):
            continue
        for name in method.presets:
            found = estimate(method_name, name, method.hyperparameters(), files, store, [])
            assert (found.documents, found.sampled) == (1000, True)
            assert found.samples and found.tokens and found.tokens >= found.samples
            assert found.memory_bytes and found.disk_bytes and found.disk_bytes > disk_bytes(1_000_000, 2)


def test_a_second_view_of_each_item_costs_as_much_as_the_first(store: ModelStore) -> None:
    usual, told_apart = cost_of("videomae-tiny", store), cost_of("videomae-tiny", store, contrast_weight=0.1)
    assert told_apart.flops == 2 * usual.flops and told_apart.activations == 2 * usual.activations
    assert (told_apart.parameters, told_apart.step_tokens) == (usual.parameters, usual.step_tokens)


def test_hiding_less_and_a_larger_batch_take_more(store: ModelStore) -> None:
    usual = cost_of("mae-small", store)
    thorough = cost_of("mae-small", store, mask_ratio=0.25)
    assert thorough.parameters == usual.parameters
    assert 1.5 < thorough.flops / usual.flops < 3 and thorough.activations > usual.activations
    assert cost_of("mae-small", store, batch_size=128).step_tokens == 2 * usual.step_tokens


def test_a_stored_models_own_spectrogram_is_what_counts(store: ModelStore, tmp_path: Path) -> None:
    publish(store, tmp_path, "sounds", modality=ModalityName.AUDIO, tasks=(Task.EMBED,), architecture="vit_mae")
    folder, model = store.resolve("sounds").path, tiny_audio_model()
    model.save_pretrained(folder)
    AudioProcessor(grid_of(model), MEL).save(folder)
    files = CheckedFiles([MediaSample(10, 1.0, (Length(1.0),))], [1.0], None)
    found = estimate("audiomae", "sounds@1", AudioMaeHyperparameters(), files, store, [])
    assert (found.samples, found.tokens) == (10 * (100 // FRAMES), 20 * 10)  # 100 frames a second
    assert found.memory_bytes and found.disk_bytes
    (folder / "preprocessor_config.json").unlink()
    unknown = estimate("audiomae", "sounds@1", AudioMaeHyperparameters(), files, store, [])
    assert (unknown.documents, unknown.samples, unknown.disk_bytes) == (10, None, None)


def test_shards_are_as_large_as_estimated(tmp_path: Path) -> None:
    """What the estimates know of decoding is what training does."""
    processor = AudioProcessor(grid_of(tiny_audio_model()), MEL)
    pictures, made = picture_zip(tmp_path / "pictures.zip", 5), sound_zip(tmp_path / "sounds.zip", 5, seconds=1.234)
    films, watcher = (
        video_zip(tmp_path / "videos.zip", 5, length=11),
        VideoProcessor(GRID, IMAGE_MEAN, IMAGE_STD, stride=1),
    )
    hearing = {"image_size": [FRAMES, MEL.n_mels], "patch_size": 8, "sample_rate": MEL.sample_rate}
    looking = image_geometry(preset("mae-tiny") or {}, MaeHyperparameters())
    listening = audio_geometry(hearing, AudioMaeHyperparameters())
    watching = video_geometry(CLIP, VideoMaeHyperparameters(crop=1, stride=1))
    for file, geometry, decoding in (
        (pictures, looking, image_decoding(looking)),
        (made, listening, audio_decoding(listening, processor)),
        (films, watching, video_decoding(watching, watcher)),
    ):
        with ProcessPool(1) as decoders:
            shard = decode_file(SourceFile(file, file.name), decoding, tmp_path / "cache", decoders)
        amount = file_amount(check_samples(file, file.name, decoding.files), item_rows(geometry))
        assert (amount.items, amount.rows) == (len(shard), len(shard.rows))
        assert amount.rows * geometry.row_bytes == shard.rows.nbytes
