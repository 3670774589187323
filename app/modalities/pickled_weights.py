"""PyTorch checkpoints (`pytorch_model.bin`) → safetensors, read in a process that can open no other file.

A pickle can run code when it is read. `torch.load(weights_only=True)` builds tensors and plain containers only, and
the child process around it has limits on memory, processor time and files, in case that has a fault.
"""

import io
import json
import re
import resource
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import IO

import torch
from safetensors.torch import save
from torch import Tensor

from app.errors import AppError, InvalidModel
from app.modalities.weight_names import wrapper_prefix
from app.system.pool_process import MIB, ProcessLimits
from app.system.process_pool import ProcessPool

_MEMORY = 4  # times the size of a file: its tensors, copies of those that share memory, and the written bytes
_BASE_MEMORY = 2048 * MIB  # of Python, torch and small files
_SECONDS = 600.0
_GLOBAL = re.compile(r"GLOBAL (\S+) ")  # in torch's message about a function that a pickle names


def convert_pickled(files: Mapping[str, Path], target: Path) -> None:
    """Writes the tensors of checkpoint files into the folder `target` as safetensors, each file as one.

    files: by their names, which errors state. Each is read in a child process of its own.
    Raises InvalidModel for what is not a dictionary of tensors, or takes more memory or time than is allowed.
    """
    keys: dict[str, str] = {}
    total = 0
    for number, (filename, source) in enumerate(files.items(), start=1):
        name = "model.safetensors" if len(files) == 1 else f"model-{number:05}-of-{len(files):05}.safetensors"
        size = source.stat().st_size
        limits = ProcessLimits(memory_bytes=_BASE_MEMORY + _MEMORY * size, seconds=_SECONDS)
        try:
            with ProcessPool(1, limits) as pool:
                found = pool.submit(partial(_convert_one, source, target / name)).result()
        except AppError as error:
            (target / name).unlink(missing_ok=True)
            raise InvalidModel(f"{filename}: {error.message}", param="source") from error
        keys |= dict.fromkeys(found, name)
        total += (target / name).stat().st_size
    if len(files) > 1:
        index = {"metadata": {"total_size": total}, "weight_map": keys}
        (target / "model.safetensors.index.json").write_text(json.dumps(index, indent=2), encoding="utf-8")


def _convert_one(source: Path, target: Path) -> list[str]:
    """Returns the names of the tensors. Runs in a child process, which can open no file afterwards."""
    with source.open("rb") as pickled, target.open("wb") as written:
        read_state(io.BytesIO(_example()))  # imports what reading needs while files can still be opened
        forbid_files()
        tensors = read_state(pickled)
        written.write(save(tensors))
    return sorted(tensors)


def _example() -> bytes:
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(1)}, buffer)
    save({"a": torch.zeros(1)})
    return buffer.getvalue()


def forbid_files() -> None:
    """Lets the process open no further file, socket or pipe; those that are open stay so."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))  # 0 to 2 are taken; fewer would forbid waiting for data, too


def read_state(file: IO[bytes]) -> dict[str, Tensor]:
    """Reads the tensors of a checkpoint by name, none of which shares memory. Raises InvalidModel."""
    try:
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:
        raise InvalidModel(_reason(error)) from error
    if isinstance(loaded, Mapping) and isinstance(loaded.get("state_dict"), Mapping):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, Mapping) or not any(isinstance(value, Tensor) for value in loaded.values()):
        raise InvalidModel("this is not a dictionary of tensors")
    tensors = {str(key): value for key, value in loaded.items() if isinstance(value, Tensor)}
    if any(value.is_quantized or value.layout is not torch.strided for value in tensors.values()):
        raise InvalidModel("its weights are quantized or sparse, which is not supported")
    prefix = wrapper_prefix(tensors)
    # Tied weights share memory, which safetensors does not store.
    return {key.removeprefix(prefix): value.detach().clone().contiguous() for key, value in tensors.items()}


def _reason(error: Exception) -> str:
    if named := _GLOBAL.search(str(error)):
        return f"reading it would run {named[1]}, and no code of a model's file is run"
    return "it is damaged, or not a file that torch.save has written"
