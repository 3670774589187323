"""The files of a model folder from outside that may enter the store, and what is read of them before a model is built.

The folder may come from a stranger: a link in it may lead anywhere, a file may be a pipe or a device, and text may be
made to keep a parser busy.
"""

import os
import stat
from collections.abc import Container, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from app.errors import InvalidModel

# Weights, configuration, tokenizer or processor, papers; `1_Pooling/…` are modules of sentence-transformers.
FILES = (
    *("model*.safetensors", "head.safetensors", "*.json", "*.txt", "*.model", "bpe.codes", "README.md", "LICENSE*"),
    *("[0-9]_*/*.safetensors", "[0-9]_*/*.json"),
)
# PyTorch checkpoints that are converted, and the names of what is not.
CHECKPOINT, CHECKPOINT_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
SAFETENSORS, SAFETENSORS_INDEX = "model.safetensors", "model.safetensors.index.json"
CHECKPOINTS = (CHECKPOINT, CHECKPOINT_INDEX, "pytorch_model-*.bin")
MODULE_CHECKPOINTS = (f"[0-9]_*/{CHECKPOINT}",)
# The folder in which early releases of sentence-transformers saved what belongs at the top.
TRANSFORMER = "0_Transformer"
# The first pattern that a file matches tells what it is.
_FOREIGN = {
    "*.gguf": "quantized weights (GGUF)",
    "gptq_model*.safetensors": "quantized weights (GPTQ)",
    "*.h5": "TensorFlow weights",
    "*.ckpt.*": "TensorFlow weights",
    "*.tflite": "TensorFlow Lite weights",
    "*.msgpack": "Flax weights",
    "*.onnx": "an ONNX graph",
    "onnx/*.onnx": "an ONNX graph",
    "openvino_model.xml": "an OpenVINO graph",
    "openvino/*.xml": "an OpenVINO graph",
    "*.ot": "weights of rust-bert",
    "*.bin": "a pickle",
    "*.pt": "a pickle",
    "*.pth": "a pickle",
    "*.ckpt": "a pickle",
    "*.pkl": "a pickle",
    "*.safetensors": "not named as the weights of a model",
}
_QUANTIZED = {"quantize_config.json": "GPTQ", "quant_config.json": "AWQ"}  # as tools of before said it
MAX_FILES = 1000
_LISTED = 10_000  # names of a folder that are looked at
CONFIG = "config.json"
MAX_CONFIG_BYTES = 4 * 1024 * 1024
MAX_CARD_BYTES = 64 * 1024  # of a card, where its front matter is looked for


def checkpoint_files(folder: Path) -> dict[str, Path]:
    """The PyTorch checkpoint of a folder, by name: one file, or its shards in order; empty if there is none.

    Raises InvalidModel for an index that names other files than those, and as `model_files` does.
    """
    found = {name.as_posix(): file for name, file in model_files(folder, CHECKPOINTS).items()}
    if CHECKPOINT in found:
        return {CHECKPOINT: found[CHECKPOINT]}
    if CHECKPOINT_INDEX not in found:
        return {}
    return {name: found[name] for name in _read_shards(found[CHECKPOINT_INDEX], CHECKPOINT_INDEX, found)}


def check_shards(folder: Path, names: Iterable[Path]) -> None:
    """Raises InvalidModel where the index of a folder's safetensors names a file that is not among `names`."""
    index = main_folder(folder) / SAFETENSORS_INDEX
    known = {name.name for name in names}
    if index.is_file() and SAFETENSORS not in known:
        _read_shards(index, SAFETENSORS_INDEX, known)


def _read_shards(index: Path, name: str, known: Container[str]) -> list[str]:
    """The files that an index of weights names, all of which are `known`. name: of the index. Raises InvalidModel."""
    try:
        shards = sorted(set(from_json(read_start(index, MAX_CONFIG_BYTES))["weight_map"].values()))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidModel(f"{name} is not an index of weights", param="source") from error
    if lacking := next((shard for shard in shards if shard not in known), None):
        raise InvalidModel(f"{name} needs {lacking!r}, which is not in the folder", param="source")
    return shards


def main_folder(folder: Path) -> Path:
    """The folder with config.json and weights: `0_Transformer` where the folder itself has no config.json."""
    inner = folder / TRANSFORMER
    return inner if (inner / "config.json").is_file() and not (folder / "config.json").is_file() else folder


def module_checkpoints(folder: Path, files: Iterable[Path]) -> dict[Path, Path]:
    """The PyTorch checkpoints of sentence-transformers modules that have no safetensors among `files`, by path."""
    found = model_files(folder, MODULE_CHECKPOINTS)
    taken = {name.parent for name in files if name.suffix == ".safetensors"} | {Path()}
    return {name: file for name, file in found.items() if name.parent not in taken}


def model_files(folder: Path, patterns: Iterable[str] = FILES) -> dict[Path, Path]:
    """Maps the path of each file within `folder` to the regular file behind it.

    Files of `main_folder` have the paths that they would have at the top.
    A link may lead to another file of the folder. A snapshot of the hub's cache may also link to the blobs of the same
    model. Raises InvalidModel for every other link, and for what is neither a file nor a folder.
    """
    folder = folder.resolve()
    allowed = _cached_model(folder) or folder
    found: dict[Path, Path] = {}
    main = main_folder(folder)
    for base in dict.fromkeys((main, folder)):
        for path in (path for pattern in patterns for path in base.glob(pattern)):
            name = path.relative_to(folder)
            if target := _regular_file(path, allowed, name):
                found.setdefault(path.relative_to(main) if path.parent == main else name, target)
            if len(found) > MAX_FILES:
                raise InvalidModel(f"the folder holds more than {MAX_FILES} files of a model", param="source")
    return found


def list_names(folder: Path) -> list[Path]:
    """The paths within a folder of all that it and its folders hold, whether it can be imported or not."""
    paths = (path for pattern in ("*", "*/*") for path in folder.glob(pattern))
    return [path.relative_to(folder) for path in islice(paths, _LISTED)]


def read_config(files: Mapping[Path, Path], source: str) -> dict[str, Any]:
    """Reads config.json. Raises InvalidModel, also for quantized weights."""
    path = files.get(Path(CONFIG))
    if path is None:
        raise InvalidModel(f"{source} has no config.json", param="source")
    config = read_object(path, CONFIG, source)
    method = next((kind for name, kind in _QUANTIZED.items() if Path(name) in files), None)
    if (quantization := config.get("quantization_config")) is not None:
        named = quantization.get("quant_method") if isinstance(quantization, dict) else None
        method = str(named or method or "by an unnamed method")
    if method:
        raise InvalidModel(f"{source} holds quantized weights ({method}), which are not supported", param="source")
    return config


def read_object(path: Path, name: str, source: str) -> dict[str, Any]:
    """Reads a file of settings, which is an object of JSON. Raises InvalidModel, also for one that is too large.

    name: of the file in its folder; the path may be that of a blob in the hub's cache.
    """
    content = read_start(path, MAX_CONFIG_BYTES + 1)
    if len(content) > MAX_CONFIG_BYTES:
        raise InvalidModel(f"{name} of {source} is larger than {MAX_CONFIG_BYTES:,} bytes", param="source")
    try:
        found = from_json(content)
    except ValueError as error:
        raise InvalidModel(f"{name} of {source} is not valid JSON: {error}", param="source") from error
    if not isinstance(found, dict):
        raise InvalidModel(f"{name} of {source} is not an object", param="source")
    return found


def has_safetensors(files: Iterable[Path]) -> bool:
    return any(name.match("model*.safetensors") for name in files if len(name.parts) == 1)


def check_weights(names: Iterable[Path], source: str) -> None:
    """Raises InvalidModel where no file of these names is imported; it says what the weights are instead."""
    offered = sorted(names)
    top = [name.relative_to(TRANSFORMER) if name.parts[0] == TRANSFORMER else name for name in offered]
    if any(name.match(each) for name in top if len(name.parts) == 1 for each in ("model*.safetensors", *CHECKPOINTS)):
        return
    for pattern, kind in _FOREIGN.items():
        depth = pattern.count("/") + 1
        if name := next((each for each in top if len(each.parts) == depth and each.match(pattern)), None):
            raise InvalidModel(
                f"{source} holds {name.name}, which is {kind}; model.safetensors or {CHECKPOINT} is needed",
                param="source",
            )
    raise InvalidModel(f"{source} holds no weights; model.safetensors or {CHECKPOINT} is needed", param="source")


def read_license(card: Path) -> str | None:
    """The `license` in the front matter of a model's card, if it has one."""
    lines = read_start(card, MAX_CARD_BYTES).decode("utf-8", errors="replace").splitlines()
    if not lines or lines[0].rstrip() != "---":
        return None
    found = None
    for line in lines[1:]:
        if line.rstrip() == "---":
            return found
        if found is None and line.startswith("license:"):
            words = line.removeprefix("license:").split()
            found = words[0][:100] if len(words) == 1 else None
    return None  # the front matter has no end


def _cached_model(folder: Path) -> Path | None:
    """The folder of a model in the hub's cache, for one of its snapshots: `models--ORG--NAME/snapshots/COMMIT`."""
    model = folder.parent.parent
    return model if folder.parent.name == "snapshots" and model.name.startswith("models--") else None


def _regular_file(path: Path, allowed: Path, name: Path) -> Path | None:
    """The file behind a path; None for a folder. Raises InvalidModel."""
    try:
        target = path.resolve(strict=True)
        mode = os.stat(target).st_mode
    except (OSError, RuntimeError) as error:  # RuntimeError: a link to itself
        raise InvalidModel(f"{name} leads to no file", param="source") from error
    if not target.is_relative_to(allowed):
        raise InvalidModel(f"{name} is a link that leads out of the model's folder", param="source")
    if stat.S_ISDIR(mode):
        return None
    if not stat.S_ISREG(mode):
        raise InvalidModel(f"{name} is neither a file nor a folder", param="source")
    return target


def read_start(path: Path, limit: int) -> bytes:
    """The beginning of a file: at most `limit` bytes."""
    with path.open("rb") as file:
        return file.read(limit)
