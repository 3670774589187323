"""The files of a model folder from outside, put together in a temporary folder as the store will hold them."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from app.errors import AppError, InvalidModel
from app.store.manifest import DataSource
from app.store.model_folder import (
    TRANSFORMER,
    checkpoint_files,
    has_safetensors,
    main_folder,
    model_files,
    module_checkpoints,
)
from app.store.store import MANIFEST

Convert = Callable[[Mapping[str, Path], Path], None]  # checkpoint files by their names in the model folder

CARD = "README.md"


def stage_settings(folder: Path, target: Path) -> dict[Path, Path]:
    """Links all files but weights into the folder `target`, as `main_folder` has them. Returns all files.

    Raises InvalidModel.
    """
    files = model_files(folder)
    # Another store's manifest would name a forward path that this import has not proved.
    left_out = {Path(MANIFEST), *(name for name in files if _holds_weights(name))}
    _link({name: file for name, file in files.items() if name not in left_out}, target)
    if main_folder(folder) != folder:
        _move_transformer(target)
    return files


def stage_weights(folder: Path, target: Path, convert: Convert) -> tuple[DataSource, ...]:
    """Adds the weights to the folder `target`: safetensors are links, checkpoints are converted, and returned.

    Raises InvalidModel.
    """
    files = model_files(folder)
    _link({name: file for name, file in files.items() if _holds_weights(name)}, target)
    checkpoint = {} if has_safetensors(files) else checkpoint_files(folder)
    if checkpoint:
        convert(checkpoint, target)
    modules = module_checkpoints(folder, files)
    for name, file in modules.items():
        (target / name.parent).mkdir(exist_ok=True)
        convert({name.as_posix(): file}, target / name.parent)
    converted = checkpoint | {name.as_posix(): file for name, file in modules.items()}
    return tuple(describe_file(name, file) for name, file in converted.items())


@contextmanager
def naming_files_within(folders: Iterable[Path]) -> Iterator[None]:
    """Removes the paths of folders from the messages of errors: users know the names of files in them only."""
    try:
        yield
    except AppError as error:
        for folder in folders:
            error.message = error.message.replace(f"{folder}/", "").replace(str(folder), "the model folder")
        raise


def describe_file(name: str, file: Path) -> DataSource:
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return DataSource(filename=name, bytes=file.stat().st_size, sha256=digest)


def write_json(path: Path, content: Any) -> None:
    path.unlink(missing_ok=True)  # a link: writing would follow it
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def add_to_card(folder: Path, notes: Iterable[str]) -> None:
    """Adds the results of an import to the model's card. Creates the card if there is none."""
    if lines := [f"- {note}" for note in notes]:
        card = folder / CARD
        given = card.read_bytes() if card.is_file() else b""
        card.unlink(missing_ok=True)
        section = "\n".join(["", "## Import into Cloze", "", *lines, ""]).encode()
        card.write_bytes(given + section if given else section.lstrip())


def copy_card(folder: Path, target: Path) -> None:
    """Copies the cards and licences of a folder, and nothing else, into `target`. Raises InvalidModel."""
    for name, file in model_files(folder, (CARD, "LICENSE*")).items():
        (target / name).unlink(missing_ok=True)
        shutil.copyfile(file, target / name)


def _holds_weights(name: Path) -> bool:
    return name.suffix == ".safetensors" or name.name.endswith(".safetensors.index.json")


def _move_transformer(folder: Path) -> None:
    """Makes modules.json name the top of the folder as the transformer's, where its files are now."""
    try:
        modules = from_json((folder / "modules.json").read_bytes())
        moved = [each | {"path": ""} if each["path"] == TRANSFORMER else each for each in modules]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InvalidModel(
            f"config.json is in {TRANSFORMER}, and modules.json is not a list of modules", param="source"
        ) from error
    write_json(folder / "modules.json", moved)


def _link(files: Mapping[Path, Path], target: Path) -> None:
    """Links the files into the folder `target`; publication turns links into files."""
    for name, source in files.items():
        link = target / name
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(source)
