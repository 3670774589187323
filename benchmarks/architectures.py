"""The speed of each text architecture that Cloze serves unpadded: python benchmarks/architectures.py STORE

Builds a small model of each type in the folder STORE, unless it is there. Then the whole application answers in a
process of its own, but for HTTP itself: fill-mask with 32 texts and embeddings with 32 texts in one request. With
`--against CHECKOUT`, another checkout of Cloze answers in turns with this one. Prints the median over the
turns of each one's best time in milliseconds, and the ratio (above 1: this checkout is faster).
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TYPES = ("albert", "bert", "deberta-v2", "distilbert", "electra", "modernbert", "mpnet", "roberta", "xlm-roberta")
TEXTS = 32
REPEATS = 8  # in one turn
WORDS = [
    "the",
    "river",
    "runs",
    "past",
    "old",
    "towns",
    "and",
    "green",
    "fields",
    "before",
    "it",
    "meets",
    "the",
    "sea",
    "near",
    "a",
    "small",
    "harbour",
]
SIZES = {
    "hidden_size": 256,
    "intermediate_size": 1024,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "dim": 256,  # DistilBERT's names
    "hidden_dim": 1024,
    "n_layers": 4,
    "n_heads": 4,
    "embedding_size": 256,
    "max_position_embeddings": 514,
}


def build(store: Path) -> None:
    """Puts a seeded model of each type into the store; the tokenizer is that of `cloze-text`."""
    import torch
    from transformers import AutoConfig, AutoModelForMaskedLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(ROOT / "model_store" / "cloze-text" / latest("cloze-text"))
    for kind in TYPES:
        if (store / kind).exists():
            continue
        folder = store / ".build" / kind
        torch.manual_seed(0)
        special = {"pad_token_id": tokenizer.pad_token_id, "bos_token_id": None, "eos_token_id": None}
        config = AutoConfig.for_model(kind, vocab_size=len(tokenizer), **SIZES, **special)
        AutoModelForMaskedLM.from_config(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        environment = os.environ | {"CLOZE_MODEL_STORE": str(store), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "app.cli", "models", "import", str(folder), "--name", kind]
        subprocess.run(command, env=environment, check=True)


def latest(name: str) -> str:
    return max((path.name for path in (ROOT / "model_store" / name).glob("[0-9]*")), key=int)


def texts() -> list[str]:
    """Texts of 5 to 60 words."""
    lengths = [5 + 55 * nth // (TEXTS - 1) for nth in range(TEXTS)]
    return [
        " ".join(WORDS[(nth * 7 + each) % len(WORDS)] for each in range(length)) for nth, length in enumerate(lengths)
    ]


async def measure(store: Path) -> dict[str, dict[str, float]]:
    """The best time of each type and task in milliseconds."""
    from app.main import create_app
    from app.settings import Settings

    app = create_app(Settings(model_store=store, var_dir=store / ".var", default_model=TYPES[0], max_loaded_models=16))
    found: dict[str, dict[str, float]] = {}
    async with app.router.lifespan_context(app):
        for kind in TYPES:
            masked = [f"{text} [MASK]" for text in texts()]
            requests = {
                "fill-mask": ("/v1/fill-mask", {"model": kind, "input": masked}),
                "embeddings": ("/v1/embeddings", {"model": kind, "input": texts()}),
            }
            found[kind] = {name: await best(app, path, body) for name, (path, body) in requests.items()}
    return found


async def best(app: Any, path: str, body: dict[str, Any]) -> float:
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        assert await ask(app, path, json.dumps(body).encode()) == 200
        times.append(1000 * (time.perf_counter() - began))
    return min(times[1:])


async def ask(app: Any, path: str, body: bytes) -> int:
    """The status of the answer. Not shared with `request_cost`: another checkout has other helpers."""
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])
    over, status = asyncio.Event(), 0

    async def receive() -> dict[str, Any]:
        for message in messages:
            return message
        await over.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)

    headers = {"host": "127.0.0.1:8000", "content-type": "application/json", "content-length": str(len(body))}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }
    await app(scope, receive, send)
    over.set()
    return status


def take_turns(store: Path, checkouts: Sequence[Path], turns: int) -> None:
    """Measures the checkouts one after the other, `turns` times, and prints the median of each one's best times."""
    times: list[dict[tuple[str, str], list[float]]] = [{} for _ in checkouts]
    for turn in range(turns):
        # Each checkout is the first in every other turn: the second one may find a warmer or a slower machine.
        for found, checkout in list(zip(times, checkouts, strict=True))[:: 1 if turn % 2 else -1]:
            command = [sys.executable, __file__, str(store), "--measure"]
            environment = os.environ | {"PYTHONPATH": str(checkout)}
            ran = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True, cwd=checkout)
            for kind, tasks in json.loads(ran.stdout.splitlines()[-1]).items():
                for task, spent in tasks.items():
                    found.setdefault((kind, task), []).append(spent)
    for kind, task in times[0]:
        medians = [statistics.median(found[kind, task]) for found in times]
        ratio = f"  ratio {medians[1] / medians[0]:.2f}" if len(medians) > 1 else ""
        print(f"{kind:12} {task:11}" + "".join(f" {each:8.1f} ms" for each in medians) + ratio)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--against", type=Path, help="another checkout, measured in turns with this one")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    store = given.store.resolve()
    if given.measure:
        print(json.dumps(asyncio.run(measure(store))))
        return
    build(store)
    take_turns(store, [ROOT, *([given.against.resolve()] if given.against else [])], given.turns)


if __name__ == "__main__":
    main()
