"""LitServe with its dynamic batching, as its documentation shows. Runs in the peers' environment."""

import os
import sys
from typing import Any

import litserve as ls
import torch
from sentence_transformers import SentenceTransformer


class Embed(ls.LitAPI):
    def setup(self, device: str) -> None:
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        dtype = getattr(torch, os.environ["BENCH_DTYPE"])
        self.model = SentenceTransformer(os.environ["BENCH_MODEL"], device="cpu", model_kwargs={"dtype": dtype})

    def decode_request(self, request: dict[str, Any]) -> list[str]:
        return list(request["input"])

    def predict(self, requests: list[list[str]]) -> list[Any]:
        texts = [text for request in requests for text in request]
        vectors = iter(self.model.encode(texts, batch_size=64, normalize_embeddings=True, show_progress_bar=False))
        return [[next(vectors) for _ in request] for request in requests]

    def encode_response(self, output: list[Any]) -> list[list[float]]:
        return [vector.tolist() for vector in output]


if __name__ == "__main__":
    api = Embed(max_batch_size=64, batch_timeout=0.01, api_path="/embed")
    server = ls.LitServer(api, accelerator="cpu", workers_per_device=1, timeout=False)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
