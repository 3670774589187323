"""One text of 15 MiB in one request.

Right: it is refused, or cut where `truncate` is set, within milliseconds; another user's requests and /health do
not wait for it, and the server's memory grows by no more than some copies of the body.
"""

import time
from typing import Any

import httpx

from benchmarks.adversary.common import Neighbour, Server

CHARACTERS = 15 << 20

BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "fill-mask, [": ("/v1/fill-mask", {"input": "[" * CHARACTERS}),
    "fill-mask, truncated": ("/v1/fill-mask", {"input": "[MASK] " + "[" * CHARACTERS, "top_k": 1, "truncate": True}),
    "embeddings, CJK": ("/v1/embeddings", {"input": "東京都" * (CHARACTERS // 9), "truncate": True}),
    "embeddings, words": ("/v1/embeddings", {"input": "word " * (CHARACTERS // 5), "truncate": True}),
    "score, one word": ("/v1/score", {"input": "a" * CHARACTERS}),
    "tokenize": ("/v1/tokenize", {"input": "[" * 1_000_000}),
    "Hugging Face": ("/models/cloze-text/pipeline/feature-extraction", {"inputs": "[" * CHARACTERS}),
}


def attack(server: Server, path: str, body: dict[str, Any]) -> str:
    started = time.monotonic()
    answer = httpx.post(server.url + path, json=body, timeout=120)
    code = answer.json()["error"]["code"] if answer.status_code >= 400 else ""
    return f"{answer.status_code} {code} after {time.monotonic() - started:.1f} s"


def main() -> None:
    with Server() as server:
        with Neighbour(server.url) as idle:
            time.sleep(4)
        print(f"idle: {idle.summary()}")
        for name, (path, body) in BODIES.items():
            before = server.memory()
            with Neighbour(server.url) as beside, Neighbour(server.url, "/health", {}) as health:
                time.sleep(0.3)
                found = attack(server, path, body)
                time.sleep(0.3)
            print(f"{name}: {found}; {(server.memory() - before) / 1e6:+.0f} MB\n  beside: {beside.summary()}")
            print(f"  /health: {health.summary()}", flush=True)


if __name__ == "__main__":
    main()
