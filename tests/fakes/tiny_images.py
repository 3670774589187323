"""Tiny image models with random weights, as real model folders, and pictures for them."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from app.modalities.image.builder import build_preset
from app.modalities.image.processor import ImageProcessor
from app.modalities.patch.grid import PatchGrid

SIZE, PATCH = 32, 8
TINY: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "initializer_range": 0.3,  # wide enough that predictions differ clearly
}
DECODER = {
    "decoder_hidden_size": 32,
    "decoder_num_hidden_layers": 1,
    "decoder_num_attention_heads": 2,
    "decoder_intermediate_size": 48,
}
ARCHITECTURES = ("vit_mae", "vit")


def tiny_image_model(architecture: str = "vit_mae", *, channels: int = 3, seed: int = 0, **settings: Any) -> Any:
    config = {"model_type": architecture} | TINY | (DECODER if architecture == "vit_mae" else {})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build_preset(config | {"image_size": SIZE, "patch_size": PATCH, "num_channels": channels} | settings)
    return model.eval()


def tiny_image_folder(
    path: Path, architecture: str = "vit_mae", *, head: bool = True, channels: int = 3, **settings: Any
) -> Path:
    """Writes a model folder at `path` and returns it; without `head` it holds the bare encoder."""
    model = tiny_image_model(architecture, channels=channels, **settings)
    (model if head else model.base_model).save_pretrained(path)
    grid = PatchGrid((SIZE, SIZE), (PATCH, PATCH), channels)
    ImageProcessor(grid, mean=(0.5,) * channels, std=(0.5,) * channels).save(path)
    return path


def picture(seed: int = 0, width: int = 40, height: int = 36, form: str = "JPEG") -> bytes:
    """A file of a smooth coloured picture that its seed decides."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (2, 2, 3), dtype=np.uint8))
    out = io.BytesIO()
    coarse.resize((width, height), Image.Resampling.BICUBIC).save(out, form)
    return out.getvalue()
