"""LoRA adapters as PEFT writes them: merged into a stored base at import, or refused with the reason."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoModelForMaskedLM

from app.errors import AppError
from app.modalities.text.load import load_text
from app.store.importer import ImportOptions
from app.store.store import ModelEntry, ModelStore
from tests.conformance.text_types import build_folder
from tests.fakes.imports import import_folder

QUERY = "bert.encoder.layer.{}.attention.self.query"
ENTRIES = "bert.embeddings.word_embeddings"
CONFIG = {"peft_type": "LORA", "base_model_name_or_path": "base", "r": 2, "lora_alpha": 6, "use_dora": False}


def numbers(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape))) * 0.3


def matrices(layer: int = 0, rank: int = 2) -> dict[str, Tensor]:
    name = f"base_model.model.{QUERY.format(layer)}"
    return {f"{name}.lora_A.weight": numbers(rank, 32), f"{name}.lora_B.weight": numbers(32, rank)}


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    store = ModelStore(tmp_path / "store")
    import_folder(store, build_folder(tmp_path / "base", "bert"), "base")
    return store


def merge(store: ModelStore, folder: Path, weights: dict[str, Tensor], base: str | None = None, **fields: Any) -> Any:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps(CONFIG | fields))
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# An adapter\n")
    save_file(weights, folder / "adapter_model.safetensors")
    return import_folder(store, folder, "merged", options=ImportOptions(base=base))


def state(entry: ModelEntry) -> dict[str, Tensor]:
    return dict(AutoModelForMaskedLM.from_pretrained(entry.path).state_dict())


def difference(store: ModelStore, entry: ModelEntry) -> dict[str, Tensor]:
    """What was added to each weight of the base, without weights that are as they were."""
    before, after = state(store.resolve("base")), state(entry)
    assert before.keys() == after.keys()
    return {name: after[name] - before[name] for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize(
    ("fields", "rank", "scale"),
    [
        ({}, 2, 3.0),
        ({"use_rslora": True}, 2, 6 / math.sqrt(2)),
        ({"rank_pattern": {"layer.0.attention.self.query": 4}}, 4, 1.5),
        ({"alpha_pattern": {"key": 1, "query": 5}}, 2, 2.5),
        ({"rank_pattern": {"query": 4}, "alpha_pattern": {"query": 8}, "use_rslora": True}, 4, 4.0),
        ({"fan_in_fan_out": True}, 2, 3.0),  # PEFT ignores it for a linear layer
    ],
)
def test_matrices_are_scaled_and_added(
    store: ModelStore, tmp_path: Path, fields: dict[str, Any], rank: int, scale: float
) -> None:
    entry = merge(store, tmp_path / "adapter", matrices(rank=rank), **fields)
    [(name, added)] = difference(store, entry).items()
    assert name == f"{QUERY.format(0)}.weight"
    torch.testing.assert_close(added, scale * numbers(32, rank) @ numbers(rank, 32), atol=1e-6, rtol=1e-5)


def test_an_adapter_of_a_bare_encoder_fits_a_masked_lm(store: ModelStore, tmp_path: Path) -> None:
    weights = {name.replace(".bert.", "."): tensor for name, tensor in matrices(1).items()}
    assert set(difference(store, merge(store, tmp_path / "adapter", weights))) == {f"{QUERY.format(1)}.weight"}


def test_an_embedding_and_the_projection_tied_to_it_change_together(store: ModelStore, tmp_path: Path) -> None:
    name = f"base_model.model.{ENTRIES}.lora_embedding_"
    weights = {f"{name}A": numbers(2, 64), f"{name}B": numbers(32, 2)}
    found = difference(store, merge(store, tmp_path / "adapter", weights))
    assert set(found) == {f"{ENTRIES}.weight", "cls.predictions.decoder.weight"}
    expected = (3.0 * numbers(32, 2) @ numbers(2, 64)).T
    for added in found.values():
        torch.testing.assert_close(added, expected, atol=1e-6, rtol=1e-5)


def test_modules_and_biases_are_replaced(store: ModelStore, tmp_path: Path) -> None:
    bias, norm = numbers(32), numbers(32, 1)[:, 0]
    weights = {
        f"base_model.model.{QUERY.format(0)}.base_layer.bias": bias,
        "base_model.model.cls.predictions.transform.LayerNorm.modules_to_save.weight": norm,
        f"base_model.model.{QUERY.format(0)}.lora_B.bias": numbers(32),
    }
    entry = merge(store, tmp_path / "adapter", matrices() | weights, bias="all", lora_bias=True)
    after = state(entry)
    torch.testing.assert_close(after[f"{QUERY.format(0)}.bias"], bias + 3.0 * numbers(32))
    assert torch.equal(after["cls.predictions.transform.LayerNorm.weight"], norm)


@pytest.mark.parametrize("name", ["cls.predictions.decoder.weight", f"{ENTRIES}.weight"])
def test_a_replaced_table_is_no_longer_tied(store: ModelStore, tmp_path: Path, name: str) -> None:
    entry = merge(store, tmp_path / "adapter", matrices() | {f"base_model.model.{name}": numbers(64, 32)})
    assert set(difference(store, entry)) == {name, f"{QUERY.format(0)}.weight"}
    assert load_text(entry.path).has_head


def test_base_and_adapter_are_recorded(store: ModelStore, tmp_path: Path) -> None:
    entry = merge(store, tmp_path / "adapter", matrices(), base_model_name_or_path="org/elsewhere", base="base@1")
    manifest = entry.manifest
    assert (manifest.parents, manifest.architecture, manifest.license) == (("base@1",), "bert", "mit")
    assert manifest.description == f"Imported from {tmp_path / 'adapter'}, an adapter merged into base@1"
    assert [each.filename for each in manifest.converted_from] == ["adapter_model.safetensors"]
    card = (entry.path / "README.md").read_text()
    assert card.startswith("---\nlicense: mit\n---\n# An adapter\n")
    assert f"The LoRA adapter {tmp_path / 'adapter'} was merged into the weights of base@1" in card


def test_a_base_is_found_by_the_place_that_it_came_from(store: ModelStore, tmp_path: Path) -> None:
    entry = merge(store, tmp_path / "adapter", matrices(), base_model_name_or_path=str(tmp_path / "base"))
    assert entry.manifest.parents == ("base@1",)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"base_model_name_or_path": "org/else"}, "'org/else' is not in the store; import it first"),
        ({"base_model_name_or_path": None}, "names no base model"),
        ({"peft_type": "IA3"}, "of the type IA3; only LoRA adapters are merged"),
        ({"peft_type": "PREFIX_TUNING"}, "of the type PREFIX_TUNING"),
        ({"use_dora": True}, "is DoRA"),
        ({"init_lora_weights": "pissa_niter_4"}, "began with pissa_niter_4"),
        ({"trainable_token_indices": [1]}, "trainable_token_indices"),
        ({"alpha_pattern": {"(a+)+$": 1}}, "alpha_pattern of adapter_config.json"),
        ({"r": 3}, r"\[2, 32\] and \[32, 2\], and its rank is 3"),
    ],
)
def test_other_adapters_are_refused_by_name(
    store: ModelStore, tmp_path: Path, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(AppError, match=message):
        merge(store, tmp_path / "adapter", matrices(), **fields)
    assert [entry.id for entry in store.list()] == ["base@1"]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({}, "no LoRA matrices"),
        ({"base_model.model.classifier.weight": numbers(2, 32)}, "classifier, which its base does not have"),
        ({f"base_model.model.{QUERY.format(9)}.lora_A.weight": numbers(2, 32)}, "which its base does not have"),
        ({f"base_model.model.{QUERY.format(0)}.lora_A.weight": numbers(2, 32)}, "lora_A for bert.encoder"),
        ({f"base_model.model.{ENTRIES}.weight": numbers(65, 32)}, "trained on another base"),
        (matrices() | {f"base_model.model.{QUERY.format(0)}.lora_magnitude_vector": numbers(32)}, "magnitude"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    store: ModelStore, tmp_path: Path, weights: dict[str, Tensor], message: str
) -> None:
    with pytest.raises(AppError, match=message):
        merge(store, tmp_path / "adapter", weights)


def test_a_pickled_adapter_is_converted(store: ModelStore, tmp_path: Path) -> None:
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps(CONFIG))
    torch.save(matrices(), folder / "adapter_model.bin")
    assert set(difference(store, import_folder(store, folder, "merged"))) == {f"{QUERY.format(0)}.weight"}
