"""A published model of another field as its package brings it: a pickled ALBERT, and a tokenizer made of code."""

import hashlib
import sys
from pathlib import Path

import pytest

from app.errors import InvalidValue
from app.modalities.registry import load
from app.modalities.text.items import FillMaskItem
from app.store.importer import ImportOptions
from app.store.store import ModelEntry, ModelStore
from app.types import Task
from tests.fakes.imports import import_folder
from tests.fakes.perform import perform

REACTION = "CC(=O)O.OCC>>CC(=O)[MASK]CC.O"  # ethyl acetate from acetic acid and ethanol


@pytest.fixture(scope="module")
def folder() -> Path:
    """rxnmapper's model (MIT). The package itself is not imported: it needs an older transformers."""
    package = Path(sys.prefix) / "published" / "rxnmapper"
    if not package.is_dir():
        pytest.skip("rxnmapper is not there: `make .venv/installed-dev` fetches it")
    return package / "models" / "transformers" / "albert_heads_8_uspto_all_1310k"


def import_reactions(folder: Path, store: ModelStore, regex: str | None) -> ModelEntry:
    options = ImportOptions(tokenizer_regex=regex)
    return import_folder(store, folder, "reactions", options=options)


def test_a_model_of_reactions_fills_masks(folder: Path, tmp_path: Path) -> None:
    entry = import_reactions(folder, ModelStore(tmp_path), "smiles")
    assert entry.manifest.architecture == "albert"
    assert entry.manifest.tasks == (Task.EMBED, Task.FILL_MASK, Task.SCORE)
    assert entry.manifest.forward_path == "unpadded"
    [source] = entry.manifest.converted_from
    assert source.sha256 == hashlib.sha256((folder / "pytorch_model.bin").read_bytes()).hexdigest()
    [result] = perform(load(entry.path).tasks[Task.FILL_MASK], [FillMaskItem(REACTION)])
    best = result.masks[0].candidates[0]
    assert (best.token_str, best.sequence) == ("O", REACTION.replace("[MASK]", "O"))
    assert best.score == pytest.approx(0.82, abs=0.01)


def test_a_pattern_that_is_none_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="has a group that is not closed"):
        import_reactions(folder, ModelStore(tmp_path), "(")
