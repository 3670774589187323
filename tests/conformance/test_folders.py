"""Model folders with the quirks of published ones: each answers right, or is refused with the reason."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForMaskedLM, AutoTokenizer, PreTrainedModel

from app.errors import InvalidModel, InvalidValue
from app.modalities.embedding import EmbedItem
from app.modalities.text.architecture import find_architecture
from app.modalities.text.forward import Batching, ForwardPath, TextForward
from app.modalities.text.items import FillMaskItem, ScoreItem
from app.modalities.text.load import check_text, load_text
from app.modalities.text.objective import TextObjective
from app.store.store import ModelStore
from app.types import Task
from tests.conformance.text_types import (
    MAX_LENGTH,
    SPECIAL,
    VOCABULARY,
    build_folder,
    build_model,
    build_tokenizer,
    expect,
)
from tests.fakes.imports import import_folder
from tests.fakes.perform import perform
from tests.fakes.tiny_models import CORPUS, tiny_tokenizer

TEXTS = ["the lions chase the [MASK] in the savanna", "water [MASK]", "[MASK] capital of france is [MASK] ."]


def edit(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def edit_tokenizer(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads((folder / "tokenizer.json").read_text())
    change(content)
    (folder / "tokenizer.json").write_text(json.dumps(content))


@pytest.mark.parametrize("model_type", ["roberta", "xlm-roberta", "camembert", "data2vec-text"])
@pytest.mark.parametrize("pad_token", ["?", None])
@pytest.mark.parametrize("batching", [Batching.UNPADDED, Batching.PADDED])
def test_positions_are_numbered_from_the_models_own_padding(
    model_type: str, pad_token: str | None, batching: Batching, tmp_path: Path
) -> None:
    """The tokenizer's padding token is another one than the model's, or there is none. On a GPU texts are padded."""
    folder = build_folder(tmp_path, model_type)
    edit(folder / "tokenizer_config.json", pad_token=pad_token)
    served = load_text(folder)
    assert served.tokenizer.pad_token == pad_token
    assert served.forward_path == "unpadded"
    handler: Any = served.tasks[Task.FILL_MASK]
    handler.forward = TextForward(served.model, ForwardPath(batching), 1)
    for texts in (TEXTS, *([text] for text in TEXTS)):
        for text, result in zip(texts, perform(handler, [FillMaskItem(text) for text in texts]), strict=True):
            expected = expect(folder, served, text)
            assert [mask.candidates[0].token for mask in result.masks] == [token for token, _ in expected]
            scores = [mask.candidates[0].score for mask in result.masks]
            assert scores == pytest.approx([score for _, score in expected], rel=1e-3)


def test_a_vocabulary_of_another_kind_is_refused(tmp_path: Path) -> None:
    """ALBERT's tokenizer reads a sentencepiece model; from a vocab.txt transformers makes one of a few entries."""
    build_model("albert").save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").write_text("\n".join([*SPECIAL, *(f"word{n}" for n in range(VOCABULARY))]))
    with pytest.raises(InvalidModel, match=r"the tokenizer has \d entries and the model 64"):
        load_text(tmp_path)


def cased_folder(folder: Path, **config: Any) -> Path:
    """A BERT with a vocab.txt of words with capitals, as older repositories have it."""
    build_model("bert").save_pretrained(folder)
    words = ["Paris", "paris", "a", "the", "É", "##s", *(f"word{n}" for n in range(53))]
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
    if config:
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def ids_of(served: TextObjective, text: str) -> list[int]:
    return [token.id for token in served.tokenize(text, add_special_tokens=False)]


def test_capitals_in_a_vocabulary_are_kept(tmp_path: Path) -> None:
    served = load_text(cased_folder(tmp_path))
    assert (ids_of(served, "Paris"), ids_of(served, "paris"), ids_of(served, "É")) == ([5], [6], [9])


def test_a_tokenizer_that_says_so_lower_cases(tmp_path: Path) -> None:
    assert ids_of(load_text(cased_folder(tmp_path, do_lower_case=True)), "Paris") == [6]


def test_a_vocabulary_without_capitals_lower_cases(tmp_path: Path) -> None:
    folder = cased_folder(tmp_path)
    (folder / "vocab.txt").write_text((folder / "vocab.txt").read_text().replace("Paris", "word").replace("É", "e"))
    assert ids_of(load_text(folder), "Paris") == [6]


def test_a_mask_token_beyond_the_table_leaves_embeddings(tmp_path: Path) -> None:
    folder, entries = build_folder(tmp_path, "bert"), len(build_tokenizer())
    build_model("bert", vocab_size=entries).save_pretrained(folder)
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    mask = {"id": entries, "content": "<mask>", "special": True, **flags}
    edit_tokenizer(folder, lambda content: content["added_tokens"].append(mask))
    edit(folder / "tokenizer_config.json", mask_token="<mask>")
    served = load_text(folder)
    assert served.tokenizer.mask_token_id == entries
    assert set(served.tasks) == {Task.EMBED}
    assert perform(served.tasks[Task.EMBED], [EmbedItem("water")])[0].tokens == 3


def test_a_tokenizer_without_the_letter_a(tmp_path: Path) -> None:
    def rename(content: dict[str, Any]) -> None:
        vocabulary = {token.replace("a", "ß"): number for token, number in content["model"]["vocab"].items()}
        content["model"] = {"type": "BPE", "vocab": vocabulary, "merges": []}

    folder = build_folder(tmp_path, "bert")
    edit_tokenizer(folder, rename)
    served = load_text(folder)
    for handler in served.tasks.values():
        assert perform(handler, [handler.example()])[0].tokens >= 3


def test_a_tokenizer_of_no_text_is_refused(tmp_path: Path) -> None:
    def empty(content: dict[str, Any]) -> None:
        content["model"] = {"type": "BPE", "vocab": content["model"]["vocab"], "merges": []}
        content["normalizer"] = {"type": "Replace", "pattern": {"Regex": "."}, "content": ""}

    folder = build_folder(tmp_path, "bert")
    edit_tokenizer(folder, empty)
    with pytest.raises(InvalidModel, match="gives no token for any text"):
        load_text(folder)


def test_a_model_that_computes_nan_is_refused(tmp_path: Path) -> None:
    def damage(model: PreTrainedModel) -> None:
        model.get_input_embeddings().weight.data.fill_(float("nan"))  # type: ignore[operator, union-attr]

    with pytest.raises(InvalidModel, match="not finite"):
        load_text(build_folder(tmp_path, "bert", damage))


def test_the_proved_path_of_a_stored_model_is_taken_from_its_manifest(tmp_path: Path) -> None:
    folder = build_folder(tmp_path, "bert")
    (folder / "manifest.json").write_text(json.dumps({"modality": "text", "forward_path": "padded+whole-head"}))
    assert load_text(folder).forward_path == "padded+whole-head"
    edit(folder / "manifest.json", forward_path="telepathy")
    with pytest.raises(InvalidModel, match="telepathy"):
        load_text(folder)


@pytest.mark.parametrize("model_type", ["deberta", "deberta-v2"])
@pytest.mark.parametrize("says_so", [True, False])
def test_debertas_own_head_fills_masks(model_type: str, says_so: bool, tmp_path: Path) -> None:
    """DeBERTa-v3's weights call their head `lm_predictions`, and their config.json says nothing of it."""
    expected = build_folder(tmp_path / "expected", model_type)
    build_model(model_type, legacy=False).save_pretrained(expected)
    folder = build_folder(tmp_path / "published", model_type)
    (folder / "model.safetensors").write_bytes((expected / "model.safetensors").read_bytes())
    config = json.loads((expected / "config.json").read_text())
    if not says_so:
        del config["legacy"]
    (folder / "config.json").write_text(json.dumps(config))
    served = load_text(folder)
    [result] = perform(served.tasks[Task.FILL_MASK], [FillMaskItem(TEXTS[0])])
    token, score = expect(expected, served, TEXTS[0])[0]
    assert result.masks[0].candidates[0].token == token
    assert result.masks[0].candidates[0].score == pytest.approx(score, rel=1e-3)


SENTENCEPIECE = {
    "albert": ("spiece.model", {"pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1}),
    "xlm-roberta": ("sentencepiece.bpe.model", {}),
    "camembert": ("sentencepiece.bpe.model", {}),
    "deberta-v2": ("spm.model", {"pad_id": 0, "unk_id": 3, "bos_id": 1, "eos_id": 2}),
    "rembert": ("sentencepiece.model", {"pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1}),
    "big_bird": ("spiece.model", {"pad_id": 0, "unk_id": 3, "bos_id": 1, "eos_id": 2}),
    "fnet": ("spiece.model", {"pad_id": 3, "unk_id": 0, "bos_id": 1, "eos_id": 2}),
}


def build_sentencepiece(folder: Path, model_type: str) -> sentencepiece.SentencePieceProcessor:
    """Builds a model whose folder holds no other tokenizer than a model of the library sentencepiece."""
    name, ids = SENTENCEPIECE[model_type]
    symbols = ["[CLS]", "[SEP]", "[MASK]"] if model_type not in ("xlm-roberta", "camembert") else []
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS * 5),
        model_writer=written,
        vocab_size=100,
        user_defined_symbols=symbols,
        minloglevel=2,
        **ids,
    )
    build_model(model_type, vocab_size=112).save_pretrained(folder)
    (folder / name).write_bytes(written.getvalue())
    return sentencepiece.SentencePieceProcessor(model_proto=written.getvalue())


@pytest.mark.parametrize("model_type", [name for name in SENTENCEPIECE if name != "fnet"])
def test_a_sentencepiece_model_alone_is_a_tokenizer(model_type: str, tmp_path: Path) -> None:
    """Repositories from before tokenizer.json hold the model of the library sentencepiece only."""
    pieces = build_sentencepiece(tmp_path, model_type)
    check_text(tmp_path)
    served = load_text(tmp_path)
    assert set(served.tasks) == {Task.EMBED, Task.FILL_MASK, Task.SCORE}
    text = "the lions chase the zebras"
    found = served.tokenizer.convert_ids_to_tokens([token.id for token in served.tokenize(text, False)])
    assert found == pieces.encode(text, out_type=str)


def test_a_sentencepiece_model_that_transformers_reads_wrong_is_refused(tmp_path: Path) -> None:
    build_sentencepiece(tmp_path, "fnet")
    with pytest.raises(InvalidModel, match="FNetTokenizer does not split texts as the library"):
        check_text(tmp_path)


def test_lukes_entities_leave_its_words_alone(tmp_path: Path) -> None:
    words = tiny_tokenizer("roberta").backend_tokenizer
    described = json.loads(words.to_str())["model"]
    build_model("luke", vocab_size=words.get_vocab_size() + 2).save_pretrained(tmp_path)
    (tmp_path / "vocab.json").write_text(json.dumps(described["vocab"]))
    (tmp_path / "merges.txt").write_text("\n".join(" ".join(pair) for pair in described["merges"]))
    entities = ("[PAD]", "[UNK]", "[MASK]", "[MASK2]", "Paris")
    (tmp_path / "entity_vocab.json").write_text(json.dumps({name: number for number, name in enumerate(entities)}))
    served = load_text(tmp_path)
    [filled] = perform(served.tasks[Task.FILL_MASK], [FillMaskItem("Paris is the<mask>", top_k=1)])
    token, score = expect(tmp_path, served, "Paris is the<mask>")[0]
    assert (filled.masks[0].candidates[0].token, filled.masks[0].candidates[0].score) == (token, pytest.approx(score))


@pytest.mark.parametrize("resized", [False, True])
def test_added_tokens_are_read_or_refused_by_name(resized: bool, tmp_path: Path) -> None:
    folder = build_folder(tmp_path, "bert")
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForMaskedLM.from_pretrained(folder)
    first, last = (f"newword{number}" for number in (0, VOCABULARY))
    tokenizer.add_tokens([f"newword{number}" for number in range(VOCABULARY + 1)])
    tokenizer.save_pretrained(folder)
    if resized:
        model.resize_token_embeddings(len(tokenizer))
        model.save_pretrained(folder)
    served = load_text(folder)
    texts = [f"the {first} chase the [MASK]", *([f"the {last} chase the [MASK]"] if resized else [])]
    for text in texts:
        [filled] = perform(served.tasks[Task.FILL_MASK], [FillMaskItem(text, top_k=1)])
        token, score = expect(folder, served, text)[0]
        found = filled.masks[0].candidates[0]
        assert (found.token, found.score) == (token, pytest.approx(score, rel=1e-3))
    if not resized:
        for item, task in ((FillMaskItem(f"{last} [MASK]"), Task.FILL_MASK), (EmbedItem(f"the {last}"), Task.EMBED)):
            with pytest.raises(InvalidValue, match="outside"):
                perform(served.tasks[task], [item])


def without_weights(folder: Path, *prefixes: str) -> Path:
    weights = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if not name.startswith(prefixes)}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    return folder


def test_a_folder_without_a_head_embeds_and_says_why(tmp_path: Path) -> None:
    folder = without_weights(build_folder(tmp_path / "bert", "bert"), "cls.")
    entry = import_folder(ModelStore(tmp_path / "store"), folder, "m")
    assert entry.manifest.tasks == (Task.EMBED,)
    reason = entry.manifest.unsupported[Task.FILL_MASK]
    assert reason.startswith("its weights have no masked-LM head: cls.predictions.bias")
    assert f"The model cannot do fill-mask: {reason}." in (entry.path / "README.md").read_text()


def test_a_head_that_does_not_fit_leaves_embeddings(tmp_path: Path) -> None:
    folder = build_folder(tmp_path, "bert")
    weights = load_file(folder / "model.safetensors")
    weights["cls.predictions.transform.dense.weight"] = torch.zeros(5, 32)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    served = load_text(folder)
    assert set(served.tasks) == {Task.EMBED}
    assert (
        "cls.predictions.transform.dense.weight is [5, 32], and config.json makes it [32, 32]"
        in (served.unsupported[Task.FILL_MASK])
    )


def test_an_encoder_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    folder = build_folder(tmp_path, "bert")
    edit(folder / "config.json", intermediate_size=40)
    with pytest.raises(InvalidModel, match=r"intermediate.dense.\w+ is \[48.*, and config.json makes it \[40"):
        load_text(folder)


@pytest.mark.parametrize("architectures", [None, ["XForPreTraining"]])
@pytest.mark.parametrize("model_type", ["bert", "megatron-bert", "distilbert", "albert", "electra", "esm", "deberta"])
def test_an_architecture_is_told_by_its_weights(
    model_type: str, architectures: list[str] | None, tmp_path: Path
) -> None:
    folder = build_folder(tmp_path, model_type)
    edit(folder / "config.json", model_type=None, architectures=architectures)
    assert find_architecture(folder) == model_type


@pytest.mark.parametrize(
    ("name", "model_type"),
    [("BertForPreTraining", "bert"), ("CamembertModel", "camembert"), ("XLMWithLMHeadModel", "xlm")],
)
def test_an_architecture_is_told_by_its_class(name: str, model_type: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": [name]}))
    assert find_architecture(tmp_path) == model_type


@pytest.mark.parametrize(
    ("tokenizer_class", "found"),
    [("RobertaTokenizerFast", "roberta"), ("XLMRobertaTokenizer", "xlm-roberta"), ("PreTrainedTokenizerFast", None)],
)
def test_roberta_and_its_relatives_are_told_by_the_tokenizer(
    tokenizer_class: str, found: str | None, tmp_path: Path
) -> None:
    folder = build_folder(tmp_path, "roberta")
    edit(folder / "config.json", model_type=None, architectures=None)
    edit(folder / "tokenizer_config.json", tokenizer_class=tokenizer_class)
    if found:
        assert find_architecture(folder) == found
    else:
        with pytest.raises(InvalidModel, match="--architecture bert"):
            find_architecture(folder)


@pytest.mark.parametrize("model_type", ["big_bird", "xmod", "xlm-roberta-xl", "squeezebert", "bart"])
def test_an_architecture_that_is_not_certain_is_asked_for(model_type: str, tmp_path: Path) -> None:
    folder = build_folder(tmp_path, model_type)
    edit(folder / "config.json", model_type=None, architectures=None)
    with pytest.raises(InvalidModel, match="--architecture bert"):
        find_architecture(folder)


def test_a_config_without_model_type_is_imported_and_completed(tmp_path: Path) -> None:
    folder = build_folder(tmp_path / "bert", "bert")
    edit(folder / "config.json", model_type=None, architectures=None)
    weights = {f"module.{name}": tensor for name, tensor in load_file(folder / "model.safetensors").items()}
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    entry = import_folder(ModelStore(tmp_path / "store"), folder, "m")
    assert entry.manifest.architecture == json.loads((entry.path / "config.json").read_text())["model_type"] == "bert"
    assert Task.FILL_MASK in entry.manifest.tasks


@pytest.mark.parametrize("inner", [False, True])
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", '{"model_type": "gpt2"}', "model_type 'gpt2' is not one of"),
        ("modules.json", '[{"type": "sentence_transformers.models.CNN", "path": ""}]', "CNN is not supported"),
        ("tokenizer.json", "{", "the tokenizer cannot be loaded"),
    ],
)
def test_a_folder_is_judged_before_its_weights_are_read(
    name: str, content: str, message: str, inner: bool, tmp_path: Path
) -> None:
    top = tmp_path / "folder"
    folder = build_folder(top / "0_Transformer" if inner else top, "bert")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"not read: it is damaged")
    modules = [{"type": "sentence_transformers.models.Transformer", "path": "0_Transformer" if inner else ""}]
    (top / "modules.json").write_text(json.dumps(modules))
    (top / name if name == "modules.json" else folder / name).write_text(content)
    with pytest.raises(InvalidModel, match=message):
        import_folder(ModelStore(tmp_path / "store"), top, "m")


@pytest.mark.parametrize("field", ["max_position_embeddings", "vocab_size", "hidden_size"])
def test_a_configuration_far_larger_than_the_weights_is_refused_before_it_takes_memory(
    tmp_path: Path, field: str
) -> None:
    folder = build_folder(tmp_path, "bert")
    edit(folder / "config.json", **{field: 2**24})
    with pytest.raises(InvalidModel, match="parameters, and the weights hold"):
        load_text(folder)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
@pytest.mark.parametrize("sharded", [False, True])
def test_prefixes_of_wrappers_are_stripped(prefix: str, sharded: bool, tmp_path: Path) -> None:
    """As DataParallel and torch.compile leave them; the source stays as it is."""
    folder = build_folder(tmp_path / "bert", "bert")
    expected = load_file(folder / "model.safetensors")
    if sharded:
        (folder / "model.safetensors").unlink()
        build_model("bert").save_pretrained(folder, max_shard_size="30KB")
        index = json.loads((folder / "model.safetensors.index.json").read_text())
        index["weight_map"] = {prefix + name: file for name, file in index["weight_map"].items()}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    for file in folder.glob("model*.safetensors"):
        save_file({prefix + name: tensor for name, tensor in load_file(file).items()}, file, {"format": "pt"})
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    entry = import_folder(ModelStore(tmp_path / "store"), folder, "m")
    assert Task.FILL_MASK in entry.manifest.tasks
    stored = [load_file(file) for file in entry.path.glob("model*.safetensors")]
    assert sorted(name for tensors in stored for name in tensors) == sorted(expected)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_rows_that_fill_up_a_table_are_no_answers(tmp_path: Path) -> None:
    """Tables are padded to a multiple of 64. Probabilities stay those of the whole table."""

    def prefer_padding(model: Any) -> None:
        model.cls.predictions.bias.data[len(build_tokenizer()) :] += 3

    folder = build_folder(tmp_path, "bert", prefer_padding)
    served = load_text(folder)
    [filled] = perform(served.tasks[Task.FILL_MASK], [FillMaskItem(TEXTS[0], top_k=VOCABULARY, num_sequences=3)])
    entries = list(range(len(served.tokenizer)))
    assert sorted(each.token for each in filled.masks[0].candidates) == entries
    token, score = expect(folder, served, TEXTS[0])[0]
    assert filled.masks[0].candidates[0].token == token
    assert filled.masks[0].candidates[0].score == pytest.approx(score, rel=1e-3)
    [scored] = perform(served.tasks[Task.SCORE], [ScoreItem("water", top_k=VOCABULARY)])
    assert sorted(each.token for each in scored.scored[0].candidates) == entries
    assert 1 <= scored.scored[0].rank <= len(entries)


@pytest.mark.parametrize("length", [-1, 0, 1e30, int(1e30), None])
def test_a_tokenizer_that_knows_no_longest_text(length: float | None, tmp_path: Path) -> None:
    folder = build_folder(tmp_path, "bert")
    edit(folder / "tokenizer_config.json", model_max_length=length)
    assert load_text(folder).max_length == MAX_LENGTH + 2


@pytest.mark.parametrize(
    ("name", "content", "method"),
    [
        ("quant_config.json", {"w_bit": 4}, "AWQ"),
        ("quantize_config.json", {"bits": 4}, "GPTQ"),
        (
            "config.json",
            {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}},
            "bitsandbytes",
        ),
        ("config.json", {"quantization_config": {"bits": 4}}, "by an unnamed method"),
    ],
)
def test_quantized_weights_are_refused_with_their_method(
    name: str, content: dict[str, Any], method: str, tmp_path: Path
) -> None:
    folder = build_folder(tmp_path / "bert", "bert")
    (folder / name).touch()
    given = json.loads((folder / "config.json").read_text()) if name == "config.json" else {}
    (folder / name).write_text(json.dumps(given | content))
    with pytest.raises(InvalidModel, match=rf"quantized weights \({method}\)"):
        import_folder(ModelStore(tmp_path / "store"), folder, "m")
