"""Imports of model folders as `cloze models import` does them."""

from collections.abc import Callable
from pathlib import Path

from app.modalities.pickled_weights import convert_pickled
from app.modalities.registry import identify, load
from app.modalities.text.regex_tokenizer import write_regex_tokenizer
from app.store.importer import ImportTools, LoadedModel, import_model
from app.store.store import ModelEntry, ModelStore


def import_tools(load: Callable[[Path], LoadedModel] = load) -> ImportTools:
    return ImportTools(check=identify, load=load, convert=convert_pickled, write_tokenizer=write_regex_tokenizer)


def import_folder(store: ModelStore, folder: Path, name: str) -> ModelEntry:
    return import_model(store, str(folder), name, allow_hub=False, tools=import_tools())
