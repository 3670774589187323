"""Training on a device: python -m benchmarks.gpu.training OPTIONS (JSON)

Tokens a second of Cloze's own run beside transformers' model in a plain loop, of the model that is shipped. The share
of the device's arithmetic (MFU) is that of large matrix products on the same device, not of a datasheet.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from app.devices import resolve_device, resolve_dtype
from app.training.run import run
from benchmarks.gpu.text_job import make_job
from benchmarks.pretraining.cloze_run import Clock

WARM = 5  # steps that are not timed
RATE = 0.15  # of tokens that are masked


def main(options: dict[str, Any]) -> dict[str, float]:
    device = resolve_device(options["device"])
    steps, batch_tokens = options["steps"], options["batch_tokens"]
    clock = Clock(WARM)
    with tempfile.TemporaryDirectory() as folder:
        job = make_job(
            options["store"],
            Path(folder),
            options["device"],
            max_steps=steps + WARM,
            batch_tokens=batch_tokens,
            masking_rate=RATE,
            eval_interval=steps + WARM,
            checkpoint_interval=steps + WARM,
            max_eval_samples=2,
        )
        run(job, clock)
    own = steps * batch_tokens / (clock.ended - clock.started)
    peer, operations = measure_plain(Path(job.model), device, batch_tokens, steps)
    limit = matrix_limit(device)
    return {
        "Cloze tokens/s": round(own),
        "transformers tokens/s": round(peer),
        "matrix products, TFLOP/s": round(limit / 1e12, 2),
        "Cloze MFU": round(own * operations / limit, 4),
        "transformers MFU": round(peer * operations / limit, 4),
    }


def measure_plain(folder: Path, device: torch.device, batch_tokens: int, steps: int) -> tuple[float, float]:
    """Returns tokens a second of a plain loop over full rows, and the operations of a token, forward and backward."""
    from transformers import AutoModelForMaskedLM

    model = AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    rows, length = max(1, batch_tokens // 128), 128
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1000, model.config.vocab_size, (rows, length), generator=generator).to(device)
    labels = torch.where(torch.rand(ids.shape, generator=generator).to(device) < RATE, ids, -100)
    began = 0.0
    for step in range(steps + WARM):
        if step == WARM:
            _wait(device)
            began = time.perf_counter()
        with torch.autocast(device.type, resolve_dtype("auto", device)):
            loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    _wait(device)
    return steps * rows * length / (time.perf_counter() - began), _operations(model, length)


def _operations(model: Any, length: int) -> float:
    """Floating-point operations of a token: 6 a weight, its share of the attention, and the head where it is masked."""
    size = model.config.hidden_size
    encoder = sum(p.numel() for name, p in model.named_parameters() if ".encoder." in name)
    attention = model.config.num_hidden_layers * 2 * length * size
    return 6.0 * (encoder + attention + RATE * size * (model.config.vocab_size + size))


def matrix_limit(device: torch.device, seconds: float = 2.0) -> float:
    """Floating-point operations a second of large products, the best of several."""
    size = 8192 if device.type == "cuda" else 1024
    dtype = resolve_dtype("auto", device)
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    torch.mm(a, b)
    best, began = float("inf"), time.perf_counter()
    while time.perf_counter() - began < seconds:
        _wait(device)
        started = time.perf_counter()
        torch.mm(a, b)
        _wait(device)
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
