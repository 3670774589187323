"""How a training step of media attends best on this processor: python -m benchmarks.attention [--rounds 9]

mae-tiny on 64 images, three quarters hidden, and videomae-tiny on 64 clips likewise, of random pixels, in the
precision that the processor computes in. Both ways take turns within one run.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from transformers import PreTrainedModel

from app.devices import resolve_dtype
from app.methods.image import MAE_PRESETS
from app.methods.video import VIDEOMAE_PRESETS
from app.modalities.image.builder import build_preset as build_image
from app.modalities.image.objective import ImageObjective
from app.modalities.image.processor import ImageProcessor
from app.modalities.patch import mae
from app.modalities.patch.augment import ClipAugment, ImageAugment
from app.modalities.patch.masking import CLIP_SAMPLERS, SAMPLERS
from app.modalities.patch.objective import PatchObjective
from app.modalities.video import architectures as videomae
from app.modalities.video.objective import VideoObjective
from app.modalities.video.processor import VideoProcessor
from app.training.loop.optimizer import autocast

ITEMS = 64
WAYS = ("eager", "sdpa")
CPU = torch.device("cpu")


def images() -> tuple[PatchObjective, tuple[int, ...]]:
    model = build_image(MAE_PRESETS["mae-tiny"] | {"num_channels": 3})
    processor = ImageProcessor(mae.grid_of(model), mean=(0.5,) * 3, std=(0.5,) * 3)
    objective = ImageObjective(model, processor, decodes=True, new_head=True)
    objective.start_training(SAMPLERS["random"], 0.75, ImageAugment(96, 0.6, True))
    return objective, (1, 120, 120, 3)


def clips() -> tuple[PatchObjective, tuple[int, ...]]:
    config = dict(VIDEOMAE_PRESETS["videomae-tiny"])
    stride = config.pop("stride")
    model = videomae.build_preset(config)
    mean, std = videomae.IMAGE_MEAN, videomae.IMAGE_STD
    processor = VideoProcessor(videomae.grid_of(model), mean=mean, std=std, stride=stride)
    objective = VideoObjective(model, processor, decodes=True, new_head=True)
    objective.start_training(CLIP_SAMPLERS["tube"], 0.75, ClipAugment(64, 0.8, True))
    return objective, (8, 80, 80, 3)


def attend(model: PreTrainedModel, way: str) -> None:
    for module in model.modules():
        if (config := getattr(module, "config", None)) is not None:
            config._attn_implementation = way


def steps(objective: PatchObjective, shape: tuple[int, ...], rounds: int) -> Iterator[tuple[str, float]]:
    """(way, seconds), in turns."""
    rng = np.random.default_rng(0)
    data = [rng.integers(0, 256, shape, dtype=np.uint8) for _ in range(ITEMS)]
    batch = objective.collate_masked(
        [objective.mask_sample(item, np.random.default_rng(i)) for i, item in enumerate(data)]
    )
    model = objective.patch_model.model.train()
    precision = resolve_dtype("auto", CPU)
    for _ in range(rounds):
        for way in WAYS:
            attend(model, way)
            began = time.perf_counter()
            with autocast(CPU, precision):
                loss, _ = objective.forward(batch)
            loss.backward()  # type: ignore[no-untyped-call]
            model.zero_grad(set_to_none=True)
            yield way, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    kinds: dict[str, Callable[[], tuple[PatchObjective, tuple[int, ...]]]] = {"images": images, "clips": clips}
    for name, build in kinds.items():
        taken: dict[str, list[float]] = {way: [] for way in WAYS}
        for way, seconds in steps(*build(), options.rounds):
            taken[way].append(seconds)
        eager, sdpa = (statistics.median(taken[way][1:]) for way in WAYS)  # the first round warms up
        print(f"{name}: eager {eager:.2f} s a step, sdpa {sdpa:.2f} s, {eager / sdpa:.2f} times as fast")


if __name__ == "__main__":
    main()
