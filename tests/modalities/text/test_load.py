import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForPreTraining

from app.errors import InputTooLong, InvalidModel
from app.modalities.embedding import EmbedItem
from app.modalities.text.load import load_text
from app.types import Pooling, Task
from tests.fakes.perform import perform
from tests.fakes.tiny_models import tiny_bert_folder, tiny_config, tiny_tokenizer


@pytest.fixture
def folder(folders: Any, tmp_path: Path) -> Path:
    """A copy of the BERT folder, to be damaged."""
    return Path(shutil.copytree(folders("bert"), tmp_path / "model"))


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def pickled(folder: Path) -> None:
    no_weights(folder)
    torch.save({}, folder / "pytorch_model.bin")


def truncated(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])


def no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def broken_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (no_weights, "no weights; model.safetensors is needed"),
        (pickled, "pytorch_model.bin, which can run code"),
        (truncated, "the weights cannot be read"),
        (no_tokenizer, "no tokenizer"),
        (broken_tokenizer, "tokenizer cannot be loaded"),
        (lambda f: (f / "config.json").unlink(), "no readable config.json"),
        (lambda f: (f / "config.json").write_text("{"), "config.json of the model folder is not JSON"),
        (lambda f: (f / "config.json").write_text("[]"), "not a JSON object"),
        (lambda f: edit(f / "config.json", model_type="gpt2"), "'gpt2' is not a text model"),
        (lambda f: edit(f / "config.json", model_type="x", auto_map={"AutoModel": "x.Y"}), "own Python code"),
        (
            lambda f: edit(f / "config.json", num_hidden_layers=1, auto_map={"AutoModel": "x.Y"}),
            r"own Python code .* for 'bert' its weights hold bert\.encoder\.layer\.1",
        ),
        (lambda f: edit(f / "config.json", num_hidden_layers=4), "lack .* tensors of its encoder, bert.encoder"),
        (lambda f: edit(f / "config.json", vocab_size=7), r"is \[\d+, 32\], and config.json makes it \[7, 32\]"),
        (
            lambda f: edit(f / "config.json", num_hidden_layers=10_000_000),
            "num_hidden_layers in config.json is 10000000",
        ),
        (
            lambda f: edit(f / "config.json", inner={"hidden_size": 10**12}),
            "hidden_size in config.json is 1000000000000",
        ),
        (lambda f: (f / "config.json").write_text("[" * 200_000), "recursion limit"),
        (lambda f: (f / "modules.json").write_text('[{"type": "a.Dense", "path": "2_Dense"}]'), "the module a.Dense"),
        (lambda f: (f / "modules.json").write_text("[1]"), "modules.json"),
    ],
)
def test_what_cannot_be_loaded_says_why(folder: Path, damage: Any, message: str) -> None:
    damage(folder)
    with pytest.raises(InvalidModel, match=message):
        load_text(folder)


def test_code_beside_a_type_that_is_known_is_not_needed(folder: Path) -> None:
    expected = load_text(folder).parameter_count()
    edit(folder / "config.json", auto_map={"AutoModelForMaskedLM": "modeling_custom.Model"})
    (folder / "modeling_custom.py").write_text("raise SystemExit('ran')")
    assert load_text(folder).parameter_count() == expected


def test_a_panic_of_the_tokenizers_library_is_an_invalid_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):  # as pyo3's: no Exception, and of no module that could be imported
        pass

    def panic(*_: object, **__: object) -> None:
        raise PanicException("Onig: Regex search error")

    monkeypatch.setattr("transformers.AutoTokenizer.from_pretrained", panic)
    with pytest.raises(InvalidModel, match="the tokenizer cannot be loaded: Onig"):
        load_text(folder)


def test_an_electra_discriminator_only_embeds(tmp_path: Path) -> None:
    AutoModelForPreTraining.from_config(tiny_config("electra")).save_pretrained(tmp_path)
    tiny_tokenizer("electra").save_pretrained(tmp_path)
    assert set(load_text(tmp_path).tasks) == {Task.EMBED}


def test_a_tokenizer_file_with_truncation_and_padding_loses_them(folder: Path) -> None:
    expected = list(load_text(folder).tokenize("the " * 50))
    truncation = {"max_length": 16, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    padding = {
        "strategy": {"Fixed": 40},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "[PAD]",
    }
    edit(folder / "tokenizer.json", truncation=truncation, padding=padding)
    assert list(load_text(folder).tokenize("the " * 50)) == expected
    assert len(list(load_text(folder).tokenize("the"))) == 3


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ({"pooling_mode": "cls"}, Pooling.CLS),
        ({"pooling_mode_max_tokens": True, "pooling_mode_mean_tokens": False}, Pooling.MAX),
        ({"word_embedding_dimension": 32}, Pooling.MEAN),
        ({"pooling_mode": "median"}, None),
        ({"pooling_mode_median": True, "pooling_mode_mean_tokens": True}, None),
    ],
)
def test_sentence_transformers_folders_bring_their_own_way(
    folder: Path, pooling: dict[str, Any], expected: Pooling | None
) -> None:
    modules = {"Transformer": "", "Pooling": "1_Pooling"}
    listed = [{"type": f"sentence_transformers.any.where.{name}", "path": path} for name, path in modules.items()]
    (folder / "modules.json").write_text(json.dumps(listed))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 16}')
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    if expected is None:
        with pytest.raises(InvalidModel, match=r"pooling .* is not supported"):
            load_text(folder)
        return
    objective = load_text(folder)
    own, explicit = perform(
        objective.tasks[Task.EMBED],
        [EmbedItem("the", normalize=None), EmbedItem("the", pooling=expected, normalize=False)],
    )
    np.testing.assert_array_equal(own.vector, explicit.vector)
    assert objective.max_length == 64
    with pytest.raises(InputTooLong, match="at most 16"):
        objective.tasks[Task.EMBED].steps(EmbedItem("the " * 15))


def test_loading_is_repeatable(tmp_path: Path) -> None:
    folder = tiny_bert_folder(tmp_path)
    one, other = (load_text(folder).model.state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)
