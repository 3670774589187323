"""An evaluation of a model of images, on an archive with a folder for each class."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from app.datasets.label_checks import check_labels
from app.datasets.labelled import LabelledColumns, LabelledFile, Part
from app.datasets.labelled_files import read_labelled
from app.evaluation.baselines import extract_features, media_baseline
from app.evaluation.embedding import Embedder
from app.evaluation.run import EvaluationPlan, evaluate
from app.media.images import encode_png
from app.modalities.audio.plain import BANDS
from app.modalities.image.plain import PIXELS
from app.store.store import ModelStore
from app.system.process_pool import ProcessPool
from tests.evaluation.test_run import Recorder
from tests.fakes.imports import import_folder
from tests.fakes.tiny_audio import sound
from tests.fakes.tiny_images import tiny_image_folder


def pictures(path: Path) -> Path:
    """Twelve dark pictures, twelve bright ones, and one that is cut off."""
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(24):
            low = 128 * (number % 2)
            pixels = rng.integers(low, low + 128, (32, 32, 3), dtype=np.uint8)
            archive.writestr(f"{('dark', 'bright')[number % 2]}/{number}.png", encode_png(pixels))
        archive.writestr("dark/broken.png", encode_png(pixels)[:200])
    return path


def test_pictures_are_evaluated_and_those_that_are_broken_named(tmp_path: Path) -> None:
    store = ModelStore(tmp_path / "models")
    import_folder(store, tiny_image_folder(tmp_path / "tiny"), "tiny")
    file = LabelledFile(pictures(tmp_path / "pictures.zip"), "pictures.zip")
    found = read_labelled([file], LabelledColumns(), "image")
    with ProcessPool(1) as processes:
        features = extract_features(found, PIXELS, processes, lambda done: None)
        data = check_labels(found)
        baseline = media_baseline(PIXELS, np.stack([features[item] for item in data.items]))
        plan = EvaluationPlan([store.resolve("tiny")], ("linear_probe", "random_encoder", "baseline"), [4], seeds=2)
        embedder = Embedder(store, tmp_path / "cache", decoders=processes)
        findings = evaluate(plan, data, baseline, embedder, Recorder()).findings
    assert [row.place for row in data.skipped] == ["pictures.zip/dark/broken.png"]
    assert (len(data.items), findings.baseline, findings.counts) == (24, "PCA of pixels", [4])
    found_baseline: Any = findings.find("baseline", None, 4)
    assert [scores["accuracy"] for scores in found_baseline.runs] == [1.0, 1.0]
    assert {result.method for result in findings.results} == {"linear_probe", "random_encoder", "baseline"}


def test_files_of_the_same_name_in_two_uploads_keep_their_own_features(tmp_path: Path) -> None:
    files = []
    for part, brightness in ((Part.TRAIN, 10), (Part.TEST, 200)):
        path = tmp_path / part / "data.zip"
        path.parent.mkdir()
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("cat/0001.png", encode_png(np.full((8, 8, 3), brightness, np.uint8)))
        files.append(LabelledFile(path, "data.zip", part))
    found = read_labelled(files, LabelledColumns(), "image")
    with ProcessPool(1) as processes:
        features = extract_features(found, PIXELS, processes, lambda done: None)
    assert found.items[0].place == found.items[1].place
    assert features[found.items[0]].mean() < features[found.items[1]].mean()


def test_features_of_a_sound_are_the_mean_and_the_deviation_of_its_bands() -> None:
    features = BANDS.extract(sound())
    assert features.shape == (128,) and np.isfinite(features).all()
