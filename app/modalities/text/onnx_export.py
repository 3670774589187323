"""The export of a stored text model as a folder with an ONNX graph, in the layout of transformers.js and optimum."""

import shutil
from collections.abc import Collection
from pathlib import Path

from app.errors import InvalidModel, InvalidValue, TaskNotSupported
from app.modalities.onnx_export import OnnxExport
from app.modalities.text.load import load_text
from app.modalities.text.objective import TextObjective
from app.modalities.text.onnx_card import CARD, write_card
from app.modalities.text.onnx_graph import GRAPH, TextGraph
from app.modalities.text.onnx_proof import collate, example_texts, prove_graph
from app.types import Task

FOLDER = "onnx"  # of the graph, within the exported folder

_LEFT_OUT = ("manifest.json", CARD)  # the manifest describes files that are not there
_TASKS = (Task.FILL_MASK, Task.EMBED)


def export_text(folder: Path, target: Path, task: Task | None = None) -> OnnxExport:
    """Writes the model in `folder` into the empty folder `target`, and proves its graph.

    task: fill-mask or embeddings; by default the first of them that the model can do.
    Raises InvalidModel where the model cannot be exported, or its graph gives other results than transformers.
    """
    served = load_text(folder)
    task = _choose_task(served.tasks, task)
    if task is Task.EMBED and served.pipeline.trained_for is not None:
        raise InvalidModel(f"the model was trained for {served.pipeline.trained_for} vectors, and a graph pools them")
    if task is Task.EMBED and not served.pipeline.include_prompt and served.pipeline.prompts:
        raise InvalidModel(
            "the model leaves its prompt out of the pooling, and an ONNX graph does not see how long it is"
        )
    graph = TextGraph(served.model, served.pipeline if task is Task.EMBED else None).eval()
    (target / FOLDER).mkdir()
    graph.write(target / FOLDER, collate(example_texts(served)[:2], served))
    difference = prove_graph(target / FOLDER / GRAPH, graph, served)
    _write_files(folder, target, served)
    export = OnnxExport(task, tuple(graph.inputs), tuple(graph.outputs), difference)
    write_card(target, folder, served, export)
    return export


def _choose_task(can: Collection[Task], task: Task | None) -> Task:
    if task is None:
        return next(each for each in _TASKS if each in can)
    if task not in _TASKS:
        raise InvalidValue(f"a graph is exported for {' or '.join(_TASKS)}, not for {task}", param="task")
    if task not in can:
        raise TaskNotSupported(f"the model cannot be exported for {task}: it supports {', '.join(can)}", param="task")
    return task


def _write_files(folder: Path, target: Path, served: TextObjective) -> None:
    """Copies the files of a model but its weights, and writes its tokenizer as a fast one, as Cloze reads it."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder)
        is_weights = len(name.parts) == 1 and name.match("model*.safetensors*")
        if not is_weights and name.name not in _LEFT_OUT and not any(part.startswith(".") for part in name.parts):
            (target / name.parent).mkdir(exist_ok=True)
            shutil.copyfile(path, target / name)
    served.tokenizer.save_pretrained(target)
