"""Conversion of PyTorch checkpoints in a child process."""

import json
import os
from collections import OrderedDict
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from app.errors import InvalidData, InvalidModel
from app.modalities.pickled_weights import convert_pickled, forbid_files, read_state
from app.system.process_pool import ProcessPool

SINGLE = "pytorch_model.bin"


class Hostile:
    """Writes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.marker}",)


def converted(folder: Path, *names: str) -> Path:
    target = folder / "converted"
    target.mkdir()
    convert_pickled({name: folder / name for name in names or [SINGLE]}, target)
    return target


def read(content: Any, **options: Any) -> dict[str, Tensor]:
    buffer = BytesIO()
    torch.save(content, buffer, **options)
    buffer.seek(0)
    return read_state(buffer)


def test_tensors_keep_names_types_and_values(tmp_path: Path) -> None:
    tied = torch.randn(4, 3)
    state = OrderedDict(a=tied, b=tied, half=torch.ones(2, dtype=torch.bfloat16), view=torch.arange(6).reshape(2, 3).T)
    torch.save(state, tmp_path / SINGLE)
    found = load_file(converted(tmp_path) / "model.safetensors")
    assert found.keys() == state.keys()
    for name, value in state.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value)


@pytest.mark.parametrize(
    "form",
    [
        lambda state: {f"module.{name}": value for name, value in state.items()},
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {**state, "version": 2},
    ],
    ids=["DataParallel", "a trainer's checkpoint", "beside numbers"],
)
@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "the format before 1.6"])
def test_forms_of_checkpoints(form: Any, is_zip: bool) -> None:
    found = read(form({"a.weight": torch.ones(2)}), _use_new_zipfile_serialization=is_zip)
    assert list(found) == ["a.weight"]
    assert torch.equal(found["a.weight"], torch.ones(2))


def test_shards_become_shards_with_an_index(tmp_path: Path) -> None:
    parts = {"part-1.bin": {"a": torch.zeros(2)}, "part-2.bin": {"b": torch.ones(3)}}
    for name, state in parts.items():
        torch.save(state, tmp_path / name)
    target = converted(tmp_path, *parts)
    index = json.loads((target / "model.safetensors.index.json").read_text())["weight_map"]
    assert index == {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    assert torch.equal(load_file(target / index["b"])["b"], torch.ones(3))


def test_code_never_runs(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    torch.save({"a": Hostile(marker)}, tmp_path / SINGLE)
    with pytest.raises(InvalidModel, match=r"pytorch_model\.bin: reading it would run posix\.system"):
        converted(tmp_path)
    assert not marker.exists()
    assert not list((tmp_path / "converted").iterdir())


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip", b"\x80\x04."], ids=["empty", "no zip", "no object"])
def test_damaged_files_are_refused(content: bytes) -> None:
    with pytest.raises(InvalidModel, match="damaged"):
        read_state(BytesIO(content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "not a dictionary of tensors"),
        ({"epoch": 1}, "not a dictionary of tensors"),
        ({"a": torch.ones(2).to_sparse()}, "quantized or sparse"),
    ],
    ids=["a list", "no tensors", "sparse"],
)
def test_what_holds_no_weights_is_refused(content: Any, message: str) -> None:
    with pytest.raises(InvalidModel, match=message):
        read(content)


def test_the_child_opens_no_further_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    with ProcessPool(1) as pool:
        assert pool.submit((tmp_path / "secret").read_text).result() == "secret"
        assert pool.submit(forbid_files).result() is None
        with pytest.raises(InvalidData):
            pool.submit(partial(open, tmp_path / "secret")).result()
