"""The export of models as ONNX graphs: facts that every modality shares."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from app.errors import NotReady
from app.types import Task

_PACKAGES = ("onnx", "onnx_ir", "onnxruntime", "onnxscript")


@dataclass(frozen=True)
class OnnxExport:
    """An exported graph.

    task: what it computes. inputs, outputs: their names. largest_difference: between a number of an output and that
    of transformers, in the runs that prove the graph.
    """

    task: Task
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    largest_difference: float


def check_packages(find: Callable[[str], object | None] = find_spec) -> None:
    """Raises NotReady where packages of the extra `onnx` are missing. find: returns None for such a package."""
    missing = [name for name in _PACKAGES if find(name) is None]
    if missing:
        raise NotReady(f"ONNX export needs {', '.join(missing)}: install the extra `onnx`, pip install 'cloze[onnx]'")
