"""`pipeline("fill-mask")` behind FastAPI. Runs in the peers' environment."""

import os
import threading
from typing import Any

import torch
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import pipeline

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
dtype = getattr(torch, os.environ["BENCH_DTYPE"])
model = pipeline("fill-mask", model=os.environ["BENCH_MODEL"], dtype=dtype, device="cpu")
options = {"batch_size": int(os.environ["BENCH_BATCH_SIZE"])} if "BENCH_BATCH_SIZE" in os.environ else {}
lock = threading.Lock()  # a tokenizer's settings are changed while it pads, so two threads may not share it
app = FastAPI()


class Body(BaseModel):
    input: list[str]


@app.post("/fill-mask")
def fill_mask(body: Body) -> list[list[dict[str, Any]]]:
    with lock:
        found = model(body.input, top_k=5, **options)
    return found if len(body.input) > 1 else [found[0] if isinstance(found[0], list) else found]
