"""The outputs of `cloze models export`: a tar, or a folder with an ONNX graph."""

import dataclasses
import sys
from pathlib import Path

from app.commands.output import note, print_json
from app.errors import InvalidValue
from app.store.store import ModelEntry
from app.system.durable import new_folder, open_replacement
from app.types import Task


def export_archive(entry: ModelEntry, output: str | None, *, as_json: bool) -> None:
    """Writes a version as an uncompressed tar to a file, or to standard output for `-`."""
    from app.store.archive import ModelArchive

    archive = ModelArchive(entry)
    if output == "-":
        if sys.stdout.isatty():
            raise InvalidValue("an archive cannot be written to a terminal: redirect it, or name a file with --output")
        sys.stdout.buffer.writelines(archive.read())
        return
    target = Path(output or archive.filename)
    if target.exists() and not target.is_file():
        raise InvalidValue(f"{target} is not a file")
    with open_replacement(target) as file:
        file.writelines(archive.read())
    if as_json:
        print_json({"model": entry.id, "path": str(target), "bytes": archive.size})
    else:
        note(f"Exported {entry.id} to {target}: {archive.size:,} bytes")


def export_onnx(entry: ModelEntry, output: str | None, task: Task | None, *, as_json: bool) -> None:
    """Writes a version as a folder with an ONNX graph, which is proved before the folder appears."""
    from app.modalities.registry import identify

    if output == "-":
        raise InvalidValue("an ONNX export is a folder and cannot be written to standard output")
    target = Path(output or f"{entry.name.replace('/', '-')}-{entry.version}-onnx")
    note(f"Exporting {entry.id}, and comparing the graph with transformers")
    try:
        with new_folder(target) as folder:
            export = identify(entry.path).export_onnx(entry.path, folder, task)
    except FileExistsError as error:
        raise InvalidValue(f"{target} exists already; name a new folder") from error
    if as_json:
        print_json({"model": entry.id, "path": str(target)} | dataclasses.asdict(export))
        return
    inputs, outputs = ", ".join(export.inputs), ", ".join(export.outputs)
    note(f"Exported {entry.id} to {target}: {export.task}, from {inputs} to {outputs}")
    note(f"The largest difference from transformers is {export.largest_difference:.2g}")
