"""Text models trained here are asked with a space before the mask and without one.

Right: `is [MASK].` and `is[MASK].` both give 12 of 12 colours with a probability of about 0.99, `sequence` has one
space between words and none at its start, and `targets` takes a word as it is written. Takes about two minutes.

    python -m benchmarks.adversary.mask_space
"""

import random
import time
from typing import Any

import httpx

from benchmarks.adversary.common import Server

COLOURS = {
    "sky": "blue", "grass": "green", "snow": "white", "coal": "black", "blood": "red", "sun": "yellow",
    "carrot": "orange", "chocolate": "brown", "ash": "gray", "plum": "purple", "flamingo": "pink", "gold": "golden",
}  # fmt: skip
MODELS = (("modernbert-tiny", "bpe"), ("bert-tiny", "bpe"), ("bert-tiny", "wordpiece"))
SETTINGS = {"max_steps": 400, "eval_interval": 400, "sequence_length": 16, "batch_tokens": 1024, "vocab_size": 400}


def main() -> None:
    rng = random.Random(0)
    lines = [f"The color of the {thing} is {colour}." for thing, colour in rng.choices(list(COLOURS.items()), k=6000)]
    with Server() as server:
        file = server.upload("facts.txt", "\n\n".join(lines).encode())
        for preset, tokenizer in MODELS:
            name = f"{preset}-{tokenizer}"
            print(name, train(server, name, preset, tokenizer, file), flush=True)
            for mask in (" [MASK].", "[MASK]."):
                print("  ", ask(server, name, mask))
            print("  ", fill(server, name, "The color of the [MASK] is [MASK].", num_sequences=2)["sequences"])
            print("  ", fill(server, name, "[MASK] color of the sky is blue.")["masks"][0]["candidates"][0])
            print("  ", fill(server, name, "The color of the sky is [MASK].", targets=["blue", "red"]))


def train(server: Server, name: str, preset: str, tokenizer: str, file: str) -> str:
    hyperparameters = {**SETTINGS, "tokenizer": tokenizer, "learning_rate": 2e-3}
    body = {"model": preset, "training_file": file, "name": name, "hyperparameters": hyperparameters}
    job = httpx.post(f"{server.url}/v1/pretraining/jobs", json=body).raise_for_status().json()
    while job["status"] not in ("succeeded", "failed", "cancelled"):
        time.sleep(1)
        job = httpx.get(f"{server.url}/v1/pretraining/jobs/{job['id']}").json()
    return str(job["error"] or job["status"])


def ask(server: Server, name: str, mask: str) -> str:
    right, probability = 0, 0.0
    for thing, colour in COLOURS.items():
        candidates = fill(server, name, f"The color of the {thing} is{mask}")["masks"][0]["candidates"]
        right += candidates[0]["token_str"].strip() == colour
        probability += sum(c["score"] for c in candidates if c["token_str"].strip() == colour)
    shown = candidates[0]["sequence"]
    return f"is{mask} {right}/12, probability of the right word {probability / len(COLOURS):.3f}; {shown!r}"


def fill(server: Server, name: str, text: str, **options: Any) -> Any:
    body = {"model": name, "input": text, "top_k": 2, **options}
    answer = httpx.post(f"{server.url}/v1/fill-mask", json=body, timeout=60).json()
    return answer["data"][0] if "data" in answer else answer


if __name__ == "__main__":
    main()
