"""Imports of model folders as `cloze models import` does them."""

from functools import partial
from pathlib import Path

from app.publishing.import_tools import import_tools
from app.store.hub import HubAccess, find_source
from app.store.importer import ImportOptions, ImportTools, import_model
from app.store.store import ModelEntry, ModelStore


def import_folder(
    store: ModelStore,
    folder: Path | str,
    name: str,
    *,
    tools: ImportTools | None = None,
    options: ImportOptions | None = None,
    access: HubAccess | None = None,
) -> ModelEntry:
    fetch = partial(find_source, str(folder), access or HubAccess())
    return import_model(store, str(folder), name, fetch=fetch, tools=tools or import_tools(), options=options)
