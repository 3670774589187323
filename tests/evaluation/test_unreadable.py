"""Items that a model cannot read are named and left out before vectors are computed."""

from pathlib import Path

import numpy as np

from app.datasets.labelled import LabelledItem, LabelledItems, Part
from app.evaluation.embedding import Embedder
from app.evaluation.unreadable import leave_out_unreadable
from app.media.audio import encode_wav
from app.store.store import ModelStore
from app.system.process_pool import ProcessPool
from tests.fakes.imports import import_folder
from tests.fakes.tiny_models import tiny_bert_folder
from tests.fakes.tiny_videos import mp4, tiny_video_folder
from tests.fakes.tiny_waveforms import RATE, tiny_wav2vec2_folder


def find_left_out(tmp_path: Path, folder: Path, contents: dict[str, str | bytes]) -> tuple[list[str], list[str]]:
    """Returns the places of the items that are kept, and the reasons of those that are not."""
    store = ModelStore(tmp_path / "store")
    import_folder(store, folder, "tiny")
    handler = Embedder(store, tmp_path / "cache").load_handler(store.resolve("tiny"))
    found = LabelledItems([LabelledItem(content, "a", Part.EITHER, place) for place, content in contents.items()])
    asked: list[int] = []
    with ProcessPool(1) as processes:
        leave_out_unreadable(found, [handler, handler], processes, asked.append)
    assert len(asked) == (1 if isinstance(next(iter(contents.values())), bytes) else 2)
    return [item.place for item in found.items], [f"{row.place}: {row.reason}" for row in found.skipped]


def test_a_truncated_video_is_left_out(tmp_path: Path) -> None:
    kept, skipped = find_left_out(
        tmp_path, tiny_video_folder(tmp_path / "tiny"), {"good": mp4(), "cut": mp4()[:600], "good too": mp4(1)}
    )
    assert kept == ["good", "good too"]
    assert len(skipped) == 1 and skipped[0].startswith("cut: ")


def test_a_sound_shorter_than_the_model_reads_is_left_out(tmp_path: Path) -> None:
    sounds = {str(size): encode_wav(np.zeros(size, np.float32), RATE) for size in (100, RATE)}
    kept, skipped = find_left_out(tmp_path, tiny_wav2vec2_folder(tmp_path / "tiny"), sounds)
    assert kept == [str(RATE)]
    assert skipped == ["100: the sound has 100 samples at 16000 Hz; the model needs 165"]


def test_texts_are_checked_too(tmp_path: Path) -> None:
    kept, skipped = find_left_out(tmp_path, tiny_bert_folder(tmp_path / "tiny"), {"good": "a lion", "empty": ""})
    assert (kept, skipped) == (["good"], ["empty: the input is empty"])
