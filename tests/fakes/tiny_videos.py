"""Tiny video models with random weights, as real model folders, and videos for them."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from app.media.images import encode_animated_webp
from app.media.video import encode_mp4
from app.modalities.patch.grid import PatchGrid
from app.modalities.video.architectures import IMAGE_MEAN, IMAGE_STD, build_preset
from app.modalities.video.processor import VideoProcessor
from tests.fakes.tiny_images import DECODER, TINY

FRAMES, SIZE, TUBELET, PATCH = 4, 32, 2, 8
GRID = PatchGrid((FRAMES, SIZE, SIZE), (TUBELET, PATCH, PATCH), 3)  # 2 × 4 × 4 patches
CLIP: dict[str, Any] = {"num_frames": FRAMES, "image_size": SIZE, "tubelet_size": TUBELET, "patch_size": PATCH}


def tiny_video_model(*, seed: int = 0, **settings: Any) -> Any:
    config = TINY | DECODER | CLIP | {"use_mean_pooling": False, "norm_pix_loss": False}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_preset(config | settings)
    return model.eval()


def tiny_video_folder(path: Path, *, head: bool = True, stride: int = 1, **settings: Any) -> Path:
    """Writes a model folder at `path` and returns it; without `head` it holds the bare encoder."""
    model = tiny_video_model(**settings)
    (model if head else model.base_model).save_pretrained(path)
    VideoProcessor(GRID, mean=IMAGE_MEAN, std=IMAGE_STD, stride=stride).save(path)
    return path


def frames(seed: int = 0, count: int = FRAMES, width: int = 40, height: int = 36) -> np.ndarray:
    """uint8 [count, height, width, 3]: a smooth coloured picture that the seed decides, moving to the right."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (2, 3, 3), dtype=np.uint8))
    wide = np.asarray(coarse.resize((width + 3 * count, height), Image.Resampling.BICUBIC))
    return np.stack([wide[:, 3 * (count - i) :][:, :width] for i in range(count)])


def mp4(seed: int = 0, count: int = FRAMES, width: int = 40, height: int = 36, fps: float = 8) -> bytes:
    return encode_mp4(frames(seed, count, width, height), fps=fps)


def lossless(pixels: np.ndarray, fps: float = 8) -> bytes:
    """An animated PNG."""
    out = io.BytesIO()
    first, *others = [Image.fromarray(frame) for frame in pixels]
    first.save(out, "PNG", save_all=True, append_images=others, duration=1000 / fps, loop=0)
    return out.getvalue()


def video_zip(path: Path, count: int = 12, *, broken: int = 0, length: int = FRAMES) -> Path:
    """`count` good videos of `length` frames, every third an animated WebP, `broken` cut ones and a list of labels."""
    with zipfile.ZipFile(path, "w") as archive:
        for seed in range(count):
            content = mp4(seed, length) if seed % 3 else encode_animated_webp(frames(seed, length), fps=8)
            archive.writestr(f"videos/{seed:03}.{'mp4' if seed % 3 else 'webp'}", content)
        for seed in range(broken):
            archive.writestr(f"videos/broken-{seed}.mp4", mp4(seed)[:600])
        archive.writestr("labels.csv", "file,label\n")
    return path


def strip_zip(path: Path, count: int = 12, length: int = FRAMES) -> Path:
    """PNG strips of frames side by side, as sprites come."""
    with zipfile.ZipFile(path, "w") as archive:
        for seed in range(count):
            out = io.BytesIO()
            Image.fromarray(np.concatenate(frames(seed, length, 32, 32), axis=1)).save(out, "PNG")
            archive.writestr(f"sprites/{seed:03}.png", out.getvalue())
    return path
