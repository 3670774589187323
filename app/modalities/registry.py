"""The list of modalities: the built-in ones, those of installed packages, and those that tests register."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from app.errors import InvalidModel
from app.methods import METHODS
from app.modalities.audio import AUDIO
from app.modalities.descriptor import Modality
from app.modalities.image import IMAGE
from app.modalities.model_files import read_json
from app.modalities.plugins import find_plugins
from app.modalities.probe import add_probe
from app.modalities.text import TEXT
from app.modalities.video import VIDEO

if TYPE_CHECKING:
    import torch

    from app.modalities.served_model import ServedModel

MODALITIES: dict[str, Modality] = {each.name: each for each in (TEXT, VIDEO, IMAGE, AUDIO)}


def register(modality: Modality) -> None:
    """Adds a modality and its methods. Raises ValueError where one of these names exists already."""
    taken = [name for name in modality.methods if name in METHODS]
    if modality.name in MODALITIES or taken:
        raise ValueError(f"a modality or method of this name exists already: {', '.join([modality.name, *taken])}")
    MODALITIES[modality.name] = modality
    METHODS.update(modality.methods)


@contextmanager
def registered(modality: Modality) -> Iterator[None]:
    """Within it the modality is one of the list."""
    register(modality)
    try:
        yield
    finally:
        del MODALITIES[modality.name]
        for name in modality.methods:
            del METHODS[name]


def modality_of_method(method: str) -> Modality:
    """The modality that a method trains. Raises KeyError for a method that is not known."""
    return MODALITIES[METHODS[method].modality]


def identify(folder: Path) -> Modality:
    """The modality of a model folder, by its manifest, or else by its processor file and model_type.

    Raises InvalidModel where none of them tells.
    """
    if (folder / "manifest.json").is_file():
        name = read_json(folder / "manifest.json").get("modality")
        if name not in MODALITIES:
            raise InvalidModel(f"no model of modality {name!r} can be loaded")
        return MODALITIES[name]
    if marked := next((m for m in MODALITIES.values() if m.is_marked(folder)), None):
        return marked
    model_type = str(read_json(folder / "config.json").get("model_type"))
    if found := next((m for m in MODALITIES.values() if model_type in m.model_types), None):
        return found
    known = sorted({each for m in MODALITIES.values() for each in m.model_types})
    raise InvalidModel(f"model_type {model_type!r} is not one of {', '.join(known)}")


def check_folder(folder: Path) -> None:
    """Judges a model folder before its weights are there. Raises InvalidModel."""
    identify(folder).check_folder(folder)


def load(folder: Path, dtype: "torch.dtype | None" = None) -> "ServedModel":
    """Loads the model in `folder` on the CPU, in float32 unless told otherwise. Raises InvalidModel."""
    import torch

    served = identify(folder).load(folder, dtype=dtype or torch.float32)
    add_probe(served, folder)
    return served


for _plugin in find_plugins():
    register(_plugin.load())
