"""Serving on a device: python -m benchmarks.gpu.serving OPTIONS (JSON)

Texts a second of the whole application in this process, HTTP's sockets left out, beside what people write with
sentence-transformers and transformers. Requests of 32 texts from up to 16 clients; the peers get all texts at once.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from app.main import create_app
from app.settings import Settings
from benchmarks.request_cost import ask
from benchmarks.serving import workload

EACH, CLIENTS = 32, 16
PEER_BATCH = 256  # texts


def main(options: dict[str, Any]) -> dict[str, float]:
    store, device = Path(options["store"]), options["device"]
    model = max((store / "cloze-text").iterdir(), key=lambda version: int(version.name))
    texts = workload.texts(None, model / "tokenizer.json", count=options["texts"])["mixed"]
    masked = [workload.masked(text) for text in texts]
    seconds = options["seconds"]
    found = asyncio.run(measure_cloze(store, device, texts, masked, seconds))
    if find_spec("sentence_transformers"):
        found["sentence-transformers embeddings/s"] = measure_sentence_transformers(model, device, texts, seconds)
    found["transformers fill-mask/s"] = measure_transformers(model, device, masked, seconds)
    return {name: round(value, 1) for name, value in found.items()}


async def measure_cloze(
    store: Path, device: str, texts: Sequence[str], masked: Sequence[str], seconds: float
) -> dict[str, float]:
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(Settings(var_dir=Path(folder), model_store=store, device=device))
        async with app.router.lifespan_context(app):
            for path, unit, inputs in (
                ("/v1/embeddings", "embeddings/s", texts),
                ("/v1/fill-mask", "fill-mask/s", masked),
            ):
                bodies = [
                    json.dumps({"input": list(inputs[start : start + EACH]), "model": "cloze-text"}).encode()
                    for start in range(0, len(inputs), EACH)
                ]

                async def answer(body: bytes, path: str = path) -> None:
                    assert await ask(app, body, path) == 200

                await answer(bodies[0])
                found[f"Cloze {unit}"] = EACH * await _rate(answer, bodies, seconds)
    return found


async def _rate(answer: Callable[[bytes], Any], bodies: Sequence[bytes], seconds: float) -> float:
    """Returns calls a second of CLIENTS clients, each of which sends its own bodies one after another.

    No two clients have a body in common: equal inputs at the same time are computed once.
    """
    began = time.perf_counter()
    count = min(CLIENTS, len(bodies))
    counts = [0] * count

    async def client(number: int) -> None:
        own = bodies[number::count]
        while time.perf_counter() - began < seconds:
            await answer(own[counts[number] % len(own)])
            counts[number] += 1

    await asyncio.gather(*map(client, range(count)))
    return sum(counts) / (time.perf_counter() - began)


def measure_sentence_transformers(model: Path, device: str, texts: Sequence[str], seconds: float) -> float:
    from sentence_transformers import SentenceTransformer

    kind = {"torch_dtype": _dtype(device)}
    peer = SentenceTransformer(str(model), device=device, model_kwargs=kind)
    return _repeat(
        lambda: peer.encode(list(texts), batch_size=PEER_BATCH, show_progress_bar=False), len(texts), seconds
    )


def measure_transformers(model: Path, device: str, masked: Sequence[str], seconds: float) -> float:
    """Fills masks with padded batches of texts that are sorted by length, and reads the five best tokens."""
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    peer = AutoModelForMaskedLM.from_pretrained(model, dtype=_dtype(device)).to(device).eval()
    ordered = sorted(masked, key=len)

    @torch.inference_mode()
    def fill() -> None:
        for start in range(0, len(ordered), PEER_BATCH):
            batch = tokenizer(ordered[start : start + PEER_BATCH], padding=True, truncation=True, return_tensors="pt")
            logits = peer(**batch.to(device)).logits
            scores = logits[batch["input_ids"] == tokenizer.mask_token_id].float().softmax(-1)
            scores.topk(5).values.cpu()

    return _repeat(fill, len(ordered), seconds)


def _dtype(device: str) -> torch.dtype:
    from app.devices import resolve_device, resolve_dtype

    return resolve_dtype("auto", resolve_device(device))


def _repeat(work: Callable[[], object], count: int, seconds: float) -> float:
    """Returns texts a second, after one round to warm up."""
    work()
    began, rounds = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        work()
        rounds += 1
    return count * rounds / (time.perf_counter() - began)


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
