import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.errors import InvalidModel, InvalidValue, ModelNotFound
from app.store.importer import ImportOptions, ImportTools
from app.store.manifest import DataSource, Manifest
from app.store.store import ModelStore
from app.types import ModalityName, Task
from tests.fakes.imports import import_folder


class FakeModel:
    modality = ModalityName.TEXT
    forward_path = "padded"
    classifier = None
    unsupported: Mapping[Task, str] = {}

    def __init__(self, tasks: Mapping[Task, Any]) -> None:
        self.tasks = tasks

    def parameter_count(self) -> int:
        return 42


def load(folder: Path) -> FakeModel:
    assert (folder / "config.json").is_file()
    assert not (folder / "manifest.json").exists(), "it could vouch for a forward path that is not proved"
    assert not list(folder.glob("*.py"))
    return FakeModel({Task.EMBED: None, Task.FILL_MASK: None})


def convert(files: Mapping[str, Path], target: Path) -> None:
    (target / "model.safetensors").write_bytes(b"".join(file.read_bytes() for file in files.values()))


def write_tokenizer(folder: Path, pattern: str, target: Path) -> None:
    (target / "tokenizer.json").write_text(pattern)


def refuse_adapter(config: Mapping[str, Any]) -> None:
    raise InvalidModel("no adapter")


def merge(adapter: Path, base: Path, target: Path) -> None:
    raise AssertionError


TOOLS = ImportTools(
    check=lambda _: None,
    find_architecture=lambda _: "deberta",
    load=load,
    convert=convert,
    strip_prefixes=lambda _: None,
    write_fast_tokenizer=lambda _: None,
    write_tokenizer=write_tokenizer,
    check_adapter=refuse_adapter,
    merge_adapter=merge,
)


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "store")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "downloaded"
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "onnx").mkdir()
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    (folder / "modeling_custom.py").write_text("raise SystemExit")
    (folder / "vocab.txt").write_text("[PAD]")
    (folder / "1_Pooling" / "config.json").write_text("{}")
    (folder / "onnx" / "model.onnx").write_bytes(b"graph")
    (folder / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n# A model\n")
    return folder


def test_a_folder_is_published_without_pickles_and_code(store: ModelStore, folder: Path) -> None:
    entry = import_folder(store, folder, "org/m", tools=TOOLS)
    assert store.resolve("org/m") == entry
    assert set(entry.manifest.files) == {
        *("config.json", "model.safetensors", "vocab.txt", "1_Pooling/config.json", "README.md")
    }
    assert not any(path.is_symlink() for path in entry.path.rglob("*"))
    manifest = entry.manifest
    assert (manifest.modality, manifest.architecture, manifest.parameters) == (ModalityName.TEXT, "bert", 42)
    assert manifest.tasks == (Task.EMBED, Task.FILL_MASK, Task.SCORE)
    assert manifest.forward_path == "padded"
    assert manifest.license == "apache-2.0"
    assert manifest.description == f"Imported from {folder}"


def test_a_folder_of_another_store_keeps_its_provenance(store: ModelStore, folder: Path) -> None:
    data = DataSource(filename="wiki.txt", bytes=3, sha256="00")
    earlier = Manifest(
        modality="text",
        architecture="bert",
        tasks=["embeddings"],
        parameters=1,
        job_id="job-1",
        parents=["base@1"],
        data=[data],
        metrics={"loss": 2.0},
        description="Made elsewhere",
    )
    (folder / "manifest.json").write_text(earlier.model_dump_json())
    manifest = import_folder(store, folder, "m", tools=TOOLS).manifest
    assert (manifest.parents, manifest.data, manifest.metrics) == (("base@1",), (data,), {"loss": 2.0})
    assert manifest.description == "Made elsewhere"
    assert manifest.job_id is None
    assert manifest.parameters == 42


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "has no config.json"),
        ("{", "not valid JSON"),
        ("[]", "is not an object"),
        (" " * 4_194_305, "is larger than 4,194,304 bytes"),
        ('{"model_type": "bert", "quantization_config": {"bits": 4}}', "quantized weights"),
    ],
)
def test_unusable_configurations_are_refused(store: ModelStore, folder: Path, config: str | None, message: str) -> None:
    (folder / "config.json").unlink() if config is None else (folder / "config.json").write_text(config)
    with pytest.raises(InvalidModel, match=message):
        import_folder(store, folder, "m", tools=TOOLS)
    assert store.list() == []


def test_a_checkpoint_is_converted_and_its_digest_recorded(store: ModelStore, folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    entry = import_folder(store, folder, "m", tools=TOOLS)
    assert (entry.path / "model.safetensors").read_bytes() == b"pickle"
    [source] = entry.manifest.converted_from
    assert (source.filename, source.bytes) == ("pytorch_model.bin", 6)
    assert source.sha256 == hashlib.sha256(b"pickle").hexdigest()


def test_shards_are_converted_in_order(store: ModelStore, folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").unlink()
    shards = [f"pytorch_model-0000{n}-of-00002.bin" for n in (1, 2)]
    for name in shards:
        (folder / name).write_text(name)
    index = {"weight_map": {"b": shards[1], "a": shards[0], "c": shards[1]}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    entry = import_folder(store, folder, "m", tools=TOOLS)
    assert (entry.path / "model.safetensors").read_text() == "".join(shards)
    assert [source.filename for source in entry.manifest.converted_from] == shards


def test_a_missing_shard_is_named_within_the_folder(store: ModelStore, folder: Path) -> None:
    shards = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    (folder / "model.safetensors").rename(folder / shards[0])
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": dict(zip("ab", shards, strict=True))})
    )
    assert refusal(store, folder) == f"model.safetensors.index.json needs {shards[1]!r}, which is not in the folder"


def test_errors_name_files_within_the_folder(store: ModelStore, folder: Path) -> None:
    def fail(chosen: Path) -> FakeModel:
        raise InvalidModel(f"{chosen}/model.safetensors is broken, and so is {chosen}")

    with pytest.raises(InvalidModel) as error:
        import_folder(store, folder, "m", tools=replace(TOOLS, load=fail))
    assert error.value.message == "model.safetensors is broken, and so is the model folder"


@pytest.mark.parametrize("index", ["{", "[]", '{"weight_map": {"a": 1}}', '{"weight_map": {"a": "../secret.bin"}}'])
def test_an_index_names_files_of_the_folder(store: ModelStore, folder: Path, index: str) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").unlink()
    (folder.parent / "secret.bin").write_bytes(b"pickle")
    (folder / "pytorch_model.bin.index.json").write_text(index)
    assert "pytorch_model.bin.index.json" in refusal(store, folder)


def test_a_linked_checkpoint_is_not_followed_out_of_the_folder(store: ModelStore, folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").unlink()
    (folder.parent / "secret.bin").write_bytes(b"pickle")
    (folder / "pytorch_model.bin").symlink_to(folder.parent / "secret.bin")
    assert refusal(store, folder) == "pytorch_model.bin is a link that leads out of the model's folder"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("tf_model.h5", "TensorFlow weights"),
        ("flax_model.msgpack", "Flax weights"),
        ("model.onnx", "an ONNX graph"),
        ("model-q4.gguf", r"quantized weights \(GGUF\)"),
        ("tf_model-00001-of-00002.h5", "TensorFlow weights"),
        ("flax_model-00001-of-00002.msgpack", "Flax weights"),
        ("bert_model.ckpt.index", "TensorFlow weights"),
        ("gptq_model-4bit-128g.safetensors", r"quantized weights \(GPTQ\)"),
        ("openvino_model.xml", "an OpenVINO graph"),
        ("rust_model.ot", "weights of rust-bert"),
        ("consolidated.safetensors", "not named as the weights of a model"),
        ("training_args.bin", "a pickle"),
    ],
)
def test_other_weights_are_named_for_what_they_are(store: ModelStore, folder: Path, name: str, kind: str) -> None:
    for weights in ("model.safetensors", "pytorch_model.bin", "onnx/model.onnx"):
        (folder / weights).unlink()
    (folder / name).write_bytes(b"{}")
    assert re.search(f"holds {re.escape(name)}, which is {kind}", refusal(store, folder))


def test_facts_that_a_folder_lacks_are_options(store: ModelStore, folder: Path) -> None:
    (folder / "config.json").write_text('{"hidden_size": 8}')
    options = ImportOptions(architecture="albert", tokenizer_regex="smiles")
    entry = import_folder(store, folder, "m", tools=TOOLS, options=options)
    assert json.loads((entry.path / "config.json").read_text()) == {"hidden_size": 8, "model_type": "albert"}
    assert (entry.path / "tokenizer.json").read_text() == "smiles"
    assert entry.manifest.architecture == "albert"
    assert json.loads((folder / "config.json").read_text()) == {"hidden_size": 8}, "the source stays as it was"


def test_what_does_not_load_is_not_published(store: ModelStore, folder: Path) -> None:
    def fail(folder: Path) -> FakeModel:
        raise InvalidModel("weights of the wrong shape")

    with pytest.raises(InvalidModel, match="wrong shape"):
        import_folder(store, folder, "m", tools=replace(TOOLS, load=fail))
    with pytest.raises(InvalidModel, match="no task"):
        import_folder(store, folder, "m", tools=replace(TOOLS, load=lambda _: FakeModel({})))
    assert store.list() == []


def test_a_bad_name_is_refused_first(store: ModelStore, folder: Path) -> None:
    with pytest.raises(InvalidValue, match="not a model name"):
        import_folder(store, folder, "../m", tools=TOOLS)


def test_the_hub_is_off_unless_allowed(store: ModelStore) -> None:
    with pytest.raises(ModelNotFound, match="CLOZE_ALLOW_HUB=1"):
        import_folder(store, "org/tiny", "m", tools=TOOLS)


@pytest.mark.parametrize("modules", [None, "{", "[1]", '[{"type": "a.Transformer"}]'])
def test_a_transformer_in_a_folder_of_its_own_is_listed(store: ModelStore, folder: Path, modules: str | None) -> None:
    (folder / "0_Transformer").mkdir()
    for name in ("config.json", "model.safetensors", "vocab.txt"):
        (folder / name).rename(folder / "0_Transformer" / name)
    if modules:
        (folder / "modules.json").write_text(modules)
    assert refusal(store, folder) == "config.json is in 0_Transformer, and modules.json is not a list of modules"


def refusal(store: ModelStore, folder: Path) -> str:
    with pytest.raises(InvalidModel) as caught:
        import_folder(store, folder, "m", tools=TOOLS)
    assert store.list() == []
    return caught.value.message


@pytest.mark.parametrize("name", ["config.json", "README.md", "notes.txt", "1_Pooling/config.json", "LICENSE"])
def test_a_link_out_of_the_folder_is_refused(store: ModelStore, folder: Path, tmp_path: Path, name: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text('{"model_type": "bert"}')
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(secret)
    assert refusal(store, folder) == f"{name} is a link that leads out of the model's folder"


def test_a_linked_folder_is_refused(store: ModelStore, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret.json").write_text("{}")
    (folder / "2_Dense").symlink_to(tmp_path / "elsewhere")
    assert "2_Dense/secret.json is a link that leads out" in refusal(store, folder)


def test_links_that_lead_nowhere_are_refused(store: ModelStore, folder: Path) -> None:
    (folder / "a.json").symlink_to("nothing")
    assert refusal(store, folder) == "a.json leads to no file"
    (folder / "a.json").unlink()
    (folder / "a.json").symlink_to("a.json")
    assert refusal(store, folder) == "a.json leads to no file"


@pytest.mark.parametrize("name", ["config.json", "pipe.json", "README.md"])
def test_a_pipe_is_refused_and_not_waited_for(store: ModelStore, folder: Path, name: str) -> None:
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    assert refusal(store, folder) == f"{name} is neither a file nor a folder"


def test_a_device_is_refused(store: ModelStore, folder: Path) -> None:
    (folder / "zero.txt").symlink_to("/dev/zero")
    assert "zero.txt is a link that leads out" in refusal(store, folder)


def test_links_and_hard_links_within_the_folder_are_taken(store: ModelStore, folder: Path) -> None:
    (folder / "merges.txt").symlink_to("vocab.txt")
    os.link(folder / "vocab.txt", folder / "words.txt")
    entry = import_folder(store, folder, "m", tools=TOOLS)
    assert {"merges.txt", "words.txt"} <= set(entry.manifest.files)
    assert (entry.path / "merges.txt").read_text() == "[PAD]" and not (entry.path / "merges.txt").is_symlink()


def test_a_snapshot_of_the_hubs_cache_links_to_its_blobs_and_to_no_others(
    store: ModelStore, folder: Path, tmp_path: Path
) -> None:
    model = tmp_path / "hub" / "models--org--m"
    snapshot, blobs = model / "snapshots" / "abc", model / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for name in ("config.json", "model.safetensors", "vocab.txt"):
        (folder / name).rename(blobs / name)
        (snapshot / name).symlink_to(f"../../blobs/{name}")
    assert import_folder(store, snapshot, "m", tools=TOOLS).id == "m@1"
    other = tmp_path / "hub" / "models--org--other" / "blobs"
    other.mkdir(parents=True)
    (other / "private.txt").write_text("private")
    (snapshot / "private.txt").symlink_to("../../../models--org--other/blobs/private.txt")
    with pytest.raises(InvalidModel, match=r"private\.txt is a link that leads out"):
        import_folder(store, snapshot, "m", tools=TOOLS)


def test_a_deeply_nested_configuration_is_refused(store: ModelStore, folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "bert", "a": ' + "[" * 200_000 + "]" * 200_000 + "}")
    assert "recursion limit" in refusal(store, folder)


@pytest.mark.parametrize(
    ("card", "license"),
    [
        ("---\nlicense: mit\n---\n", "mit"),
        ("---\r\nlanguage: en\r\nlicense: mit\r\n---\r\n", "mit"),
        ("--- \nlicense:   apache-2.0  \nlicense: mit\n---", "apache-2.0"),
        ("---\nlicense: two words\n---\n", None),
        ("---\nlicense:\n---\n", None),
        ("license: mit\n", None),
        ("---\nname: x\n---\nlicense: mit\n", None),
        ("---\n" + "license: x\n" * 200_000, None),  # no end: a regular expression would look for one for minutes
        ("", None),
    ],
    ids=range(9),
)
def test_the_license_of_a_card(store: ModelStore, folder: Path, card: str, license: str | None) -> None:
    (folder / "README.md").write_text(card, newline="")
    assert import_folder(store, folder, "m", tools=TOOLS).manifest.license == license
