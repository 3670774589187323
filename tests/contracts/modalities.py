"""What the contract of objectives needs of each modality. A new one is one entry in CASES."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from app.modalities.embedding import EmbedItem
from app.modalities.reconstruction import MaskRequest, ReconstructItem
from app.modalities.served_model import AnyMaskedModel
from app.modalities.text.items import FillMaskItem, ScoreItem, ScoreMethod
from app.types import ModalityName, Pooling, Task
from tests.fakes.image_data import picture_zip
from tests.fakes.perform import perform
from tests.fakes.sensor_data import sensor_folder, series, series_zip
from tests.fakes.tiny_audio import MEL, samples, sound, sound_file, sound_zip, tiny_audio_folder
from tests.fakes.tiny_images import picture, tiny_image_folder
from tests.fakes.tiny_models import CORPUS, tiny_bert_folder
from tests.fakes.tiny_videos import frames, lossless, mp4, tiny_video_folder, video_zip
from tests.toy_modality import SENSOR
from tests.toy_modality.series import decode_series, encode_series


@dataclass(frozen=True)
class Case:
    """folder, source: write a model and a training file at the path that they are given.

    items: for every task of that model, some that differ in size or options.
    guesses: what the model predicts of two inputs that differ only in what is masked.
    """

    modality: str
    folder: Callable[[Path], Path]
    items: Mapping[Task, Sequence[Any]]
    guesses: Callable[[AnyMaskedModel], tuple[np.ndarray, np.ndarray]]
    method: str
    source: Callable[[Path], Path]
    hyperparameters: Mapping[str, Any]


def guess_words(objective: AnyMaskedModel) -> tuple[np.ndarray, np.ndarray]:
    texts = [f"The {animal} chase the zebras." for animal in ("lions", "cats")]
    items = [FillMaskItem(text.replace(text.split()[1], "[MASK]")) for text in texts]
    first, second = perform(objective.tasks[Task.FILL_MASK], items)
    return tuple(np.array([c.score for c in r.masks[0].candidates]) for r in (first, second))  # type: ignore[return-value]


def guess_pixels(objective: AnyMaskedModel) -> tuple[np.ndarray, np.ndarray]:
    """Of a picture with something else in a box, of which the box is masked."""
    whole = np.asarray(Image.open(io.BytesIO(picture(3, 32, 32, "PNG")))).copy()
    other = whole.copy()
    other[8:24, 8:24] = 255 - other[8:24, 8:24]
    items = [ReconstructItem(png(pixels), MaskRequest(boxes=((8, 8, 24, 24),))) for pixels in (whole, other)]
    results = perform(objective.tasks[Task.RECONSTRUCT], items)
    return tuple(result.predicted[result.pixel_mask] for result in results)  # type: ignore[return-value]


def png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def guess_levels(objective: AnyMaskedModel) -> tuple[np.ndarray, np.ndarray]:
    """Of a sound with another one in its middle, of which every patch that hears it is masked."""
    wave = samples(3, 0.8)
    other = wave.copy()
    other[2600:3800] = samples(4, 0.15)
    # 0.325 to 0.475 s, and as much of a frame as reaches beyond them
    reach = MEL.n_fft / MEL.sample_rate
    items = [
        ReconstructItem(sound_file(w), MaskRequest(ranges=((0.325 - reach, 0.475 + reach),))) for w in (wave, other)
    ]
    results = perform(objective.tasks[Task.RECONSTRUCT], items)
    return tuple(result.predicted[result.pixel_mask] for result in results)  # type: ignore[return-value]


def text_source(folder: Path) -> Path:
    path = folder / "corpus.jsonl"
    path.write_text("\n".join(json.dumps({"text": f"{a} {b}"}) for a in CORPUS for b in CORPUS[:3]))
    return path


def image_case(method: str, architecture: str, contrast_weight: float = 0.0, **settings: Any) -> Case:
    return Case(
        ModalityName.IMAGE,
        lambda path: tiny_image_folder(path, architecture, **settings),
        {
            Task.EMBED: [
                EmbedItem(picture(0)),
                EmbedItem(picture(1, 90, 20), pooling=Pooling.CLS, normalize=False),
                EmbedItem(picture(2), output="tokens"),
            ],
            Task.RECONSTRUCT: [
                ReconstructItem(picture(0)),
                ReconstructItem(picture(1), MaskRequest("block", 0.4, seed=3)),
                ReconstructItem(picture(2, 64, 64), MaskRequest(boxes=((0, 0, 10, 30),))),
            ],
        },
        guess_pixels,
        method,
        lambda folder: picture_zip(folder / "pictures.zip", 12),
        {"batch_size": 4, "contrast_weight": contrast_weight},
    )


def audio_case(mask: MaskRequest, contrast_weight: float = 0.0, **settings: Any) -> Case:
    return Case(
        ModalityName.AUDIO,
        lambda path: tiny_audio_folder(path, **settings),
        {
            Task.EMBED: [
                EmbedItem(sound(0)),
                EmbedItem(sound(1, 0.9), pooling=Pooling.CLS, normalize=False),
                EmbedItem(sound(2, 0.1, 16000), output="tokens"),
                EmbedItem(sound(3, 1.0, form="OGG"), output="windows"),
            ],
            Task.RECONSTRUCT: [
                ReconstructItem(sound(0)),
                ReconstructItem(sound(1, 0.9), mask),
                ReconstructItem(sound(2, 0.5), MaskRequest(ranges=((0.1, 0.2),))),
            ],
        },
        guess_levels,
        "audiomae",
        lambda folder: sound_zip(folder / "sounds.zip", 12),
        {"batch_size": 4, "contrast_weight": contrast_weight},
    )


def guess_frames(objective: AnyMaskedModel) -> tuple[np.ndarray, np.ndarray]:
    """Of a video with something else in a box in its first half, of which the box is masked then."""
    whole = frames(3, width=32, height=32)
    other = whole.copy()
    other[:2, 8:24, 8:24] = 255 - other[:2, 8:24, 8:24]
    mask = MaskRequest(boxes=((8, 8, 24, 24),), ranges=((0.0, 0.25),))
    results = perform(
        objective.tasks[Task.RECONSTRUCT], [ReconstructItem(lossless(pixels), mask) for pixels in (whole, other)]
    )
    return tuple(result.predicted[result.pixel_mask] for result in results)  # type: ignore[return-value]


def video_case(contrast_weight: float = 0.0, **settings: Any) -> Case:
    return Case(
        ModalityName.VIDEO,
        lambda path: tiny_video_folder(path, **settings),
        {
            Task.EMBED: [
                EmbedItem(mp4(0)),
                EmbedItem(mp4(1, count=11), pooling=Pooling.MAX, normalize=False),
                EmbedItem(lossless(frames(2)), output="tokens"),
            ],
            Task.RECONSTRUCT: [
                ReconstructItem(mp4(0)),
                ReconstructItem(mp4(1, count=11, fps=24), MaskRequest("random", 0.4, seed=3)),
                ReconstructItem(mp4(2, width=64, height=64), MaskRequest("frame", 0.5)),
                ReconstructItem(mp4(3, count=9), MaskRequest(boxes=((0, 0, 20, 30),), ranges=((0.0, 0.6),))),
            ],
        },
        guess_frames,
        "videomae",
        lambda folder: video_zip(folder / "videos.zip", 12),
        {"batch_size": 4, "contrast_weight": contrast_weight},
    )


def guess_readings(objective: AnyMaskedModel) -> tuple[np.ndarray, np.ndarray]:
    """Of a series with another one in its middle, of which the middle is masked."""
    (whole, rate), (other, _) = (decode_series(series(seed)) for seed in (3, 4))
    mixed = whole.copy()
    mixed[16:32] = other[16:32]
    mask = MaskRequest(ranges=((16 / rate, 32 / rate),))
    items = [ReconstructItem(encode_series(values, rate), mask) for values in (whole, mixed)]
    results = perform(objective.tasks[Task.RECONSTRUCT], items)
    return tuple(result.predicted[result.pixel_mask] for result in results)  # type: ignore[return-value]


SENSOR_CASE = Case(
    SENSOR.name,
    sensor_folder,
    {
        Task.EMBED: [EmbedItem(series(0)), EmbedItem(series(1, 150), pooling=Pooling.CLS), EmbedItem(series(2, 30))],
        Task.RECONSTRUCT: [
            ReconstructItem(series(0)),
            ReconstructItem(series(1, 150), MaskRequest("span", 0.5, seed=3)),
            ReconstructItem(series(2, 30), MaskRequest(ranges=((0.1, 0.3),))),
        ],
    },
    guess_readings,
    "sensormae",
    lambda folder: series_zip(folder / "series.zip", 12, readings=130),
    {"batch_size": 4, "contrast_weight": 0.5},
)

CASES: dict[str, Case] = {
    "text": Case(
        ModalityName.TEXT,
        tiny_bert_folder,
        {
            Task.EMBED: [EmbedItem(text) for text in CORPUS[:4]],
            Task.FILL_MASK: [
                FillMaskItem("The [MASK] chase the zebras."),
                FillMaskItem("[MASK] boils at [MASK] degrees"),
                FillMaskItem("[MASK] boils at [MASK] degrees", num_sequences=2),
            ],
            Task.SCORE: [ScoreItem(CORPUS[0]), ScoreItem(CORPUS[1], ScoreMethod.ORIGINAL, top_k=3)],
        },
        guess_words,
        "mlm",
        text_source,
        {"sequence_length": 32, "batch_tokens": 128},
    ),
    "mae": image_case("mae", "vit_mae"),
    "mae-norm": image_case("mae", "vit_mae", norm_pix_loss=True),
    "simmim": image_case("simmim", "vit", contrast_weight=0.5),
    "audiomae": audio_case(MaskRequest("time-frequency", 0.6, seed=3)),
    "audiomae-norm": audio_case(
        MaskRequest("time", 0.5, seed=3), contrast_weight=0.5, norm_pix_loss=True, mask_strategy="time-frequency"
    ),
    "sensor": SENSOR_CASE,
    "videomae": video_case(),
    "videomae-norm": video_case(contrast_weight=0.5, norm_pix_loss=True),
}
