"""A plain FastAPI app on sentence-transformers, as their documentation shows. Runs in the peers' environment."""

import os

import torch
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
dtype = getattr(torch, os.environ["BENCH_DTYPE"])
model = SentenceTransformer(os.environ["BENCH_MODEL"], device="cpu", model_kwargs={"dtype": dtype})
app = FastAPI()


class Body(BaseModel):
    input: list[str]


@app.post("/embed")
def embed(body: Body) -> list[list[float]]:  # no coroutine: FastAPI runs it on a thread, and the server stays awake
    return model.encode(body.input, normalize_embeddings=True, show_progress_bar=False).tolist()
