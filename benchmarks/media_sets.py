"""The labelled media of shared/data, as files that a client would send."""

import csv
import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from app.types import ModalityName
from benchmarks.moved_sprites import moved

REAL_CLIPS, EVERY = "intel_clips_112.zip", 8


@dataclass(frozen=True)
class Labelled:
    """content: a media file as a client would send it."""

    content: bytes
    label: str
    held_out: bool


def read(path: Path, label: str, held_out: Callable[[Mapping[str, str]], bool]) -> list[Labelled]:
    with zipfile.ZipFile(path) as archive:
        rows = csv.DictReader(io.TextIOWrapper(archive.open("labels.csv"), encoding="utf-8"))
        return [Labelled(archive.read(r["file"]), r[label], held_out(r)) for r in rows]


def in_test(row: Mapping[str, str]) -> bool:
    return row["split"] == "test"


def sprites(data: Path) -> list[Labelled]:
    """Each packed strip as the animation that it is."""
    strips = read(data / "sprites_lpc.zip", "label", in_test)
    return [Labelled(animation(_frames(each.content)), each.label, each.held_out) for each in strips]


def _frames(strip: bytes) -> list[Image.Image]:
    image = Image.open(io.BytesIO(strip)).convert("RGB")
    side = image.height
    return [image.crop((left, 0, left + side, side)) for left in range(0, image.width, side)]


def animation(frames: list[Image.Image]) -> bytes:
    """Lossless, eight frames a second."""
    out = io.BytesIO()
    frames[0].save(out, "PNG", save_all=True, append_images=frames[1:], duration=125, loop=0)
    return out.getvalue()


def real_clips(data: Path) -> list[Labelled]:
    """Unlabelled; every eighth is held out."""
    with zipfile.ZipFile(data / REAL_CLIPS) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".mp4"))
        return [Labelled(archive.read(name), "", place % EVERY == 0) for place, name in enumerate(names)]


def moved_sprites(data: Path, seed: int = 0) -> list[Labelled]:
    """The sprites, each at another size and place; another seed, others."""
    strips = read(data / "sprites_lpc.zip", "label", in_test)
    clips = moved([each.content for each in strips], seed)
    return [
        Labelled(animation([Image.fromarray(frame) for frame in frames]), each.label, each.held_out)
        for each, frames in zip(strips, clips, strict=True)
    ]


SETS: dict[ModalityName, dict[str, Callable[[Path], list[Labelled]]]] = {
    ModalityName.IMAGE: {
        "CIFAR-10": lambda data: read(data / "cifar10_8k.zip", "label", in_test),
        "Caltech-101": lambda data: read(data / "caltech101_96.zip", "label", in_test),
    },
    ModalityName.AUDIO: {
        "spoken digits": lambda data: read(data / "fsdd_flac.zip", "digit", in_test),
        "ESC-10": lambda data: read(data / "esc10_16k.zip", "label", lambda row: row["fold"] == "5"),
    },
    ModalityName.VIDEO: {"sprites": sprites, "moved sprites": moved_sprites},
}
