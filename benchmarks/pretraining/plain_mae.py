"""A peer: the plain loop over transformers' ViTMAE, in an environment of its own. Imports no Cloze.

python plain_mae.py OPTIONS.json: trains and prints one line of JSON, {"seconds", "steps"}.

As a careful person writes it: bf16, the fused optimiser, no dropout, images decoded once and kept in memory as
uint8, crops by Pillow, batches made beside the training. transformers draws the masks.
"""

import io
import json
import math
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from transformers import ViTMAEForPreTraining


class Pictures(Dataset):
    """The square in the middle of each image; a sample is a random crop of it, flipped by chance, [3, S, S]."""

    def __init__(self, paths: list[str], size: int, crop: float, count: int, seed: int) -> None:
        self.size, self.crop = size, crop
        self.images = []
        for path in paths:
            with zipfile.ZipFile(path) as archive:
                self.images += [self._square(archive.read(name)) for name in sorted(archive.namelist())]
        self.order = np.random.default_rng(seed).integers(len(self.images), size=count)

    def _square(self, data: bytes) -> Image.Image:
        image = Image.open(io.BytesIO(data)).convert("RGB")
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        return image.resize((self.size * 5 // 4,) * 2, Image.Resampling.BICUBIC, (left, top, left + side, top + side))

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, index: int) -> torch.Tensor:
        image, rng = self.images[self.order[index]], np.random.default_rng(index)
        area, aspect = (
            rng.uniform(self.crop, 1) * image.width**2,
            math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3))),
        )
        width, height = (min(math.sqrt(area * a), image.width) for a in (aspect, 1 / aspect))
        left, top = rng.uniform(0, image.width - width), rng.uniform(0, image.height - height)
        box = (left, top, left + width, top + height)
        pixels = np.asarray(image.resize((self.size, self.size), Image.Resampling.BICUBIC, box))
        pixels = pixels[:, ::-1] if rng.random() < 0.5 else pixels
        return torch.from_numpy(pixels.transpose(2, 0, 1).copy())


def main(options: dict[str, Any]) -> None:
    torch.set_num_threads(options["threads"])
    torch.manual_seed(options["seed"])
    model = ViTMAEForPreTraining.from_pretrained(options["model"], dtype=torch.float32)
    steps, warmup, size = options["steps"], options["warmup_steps"], int(model.config.image_size)
    pictures = Pictures(options["data"], size, options["crop"], steps * options["rows"], options["seed"])
    decayed = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=options["learning_rate"], betas=(0.9, 0.95), weight_decay=0.05, fused=True)

    def factor(step: int) -> float:
        rising = (step + 1) / max(warmup, 1)
        return min(rising, 0.5 + 0.5 * math.cos(math.pi * max(0, step - warmup) / max(1, steps - warmup)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    model.train()
    started = 0.0
    for step, batch in enumerate(DataLoader(pictures, batch_size=options["rows"], num_workers=1), 1):
        with torch.autocast("cpu", torch.bfloat16, enabled=options["precision"] == "bfloat16"):
            loss = model(pixel_values=(batch.float() / 255 - 0.5) / 0.5).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        schedule.step()
        if step == options["warm"]:
            started = time.perf_counter()
    seconds = time.perf_counter() - started
    model.save_pretrained(options["out"])
    print(json.dumps({"seconds": seconds, "steps": steps - options["warm"]}))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
