"""Vectors of tokens against sentence-transformers' MultiVectorEncoder."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import MultiVectorEncoder

from app.errors import InputTooLong, InvalidModel, InvalidValue
from app.modalities.comparison import compare_multi
from app.modalities.embedding import EmbedItem
from app.modalities.text import TEXT
from app.modalities.text.load import load_text
from app.modalities.text.onnx_export import export_text
from app.types import CompareMethod, InputType, Pooling, SimilarityFunction, Task
from tests.fakes.colbert import CLASSIC, build_colbert
from tests.fakes.perform import perform
from tests.fakes.tiny_models import CORPUS, tiny_text_folder

TEXTS = [*CORPUS[:3], "Water.", " ".join(CORPUS[:6])]
PURPOSES = (InputType.QUERY, InputType.DOCUMENT, None)


def encode(theirs: MultiVectorEncoder, purpose: InputType | None) -> list[np.ndarray]:
    run = {InputType.QUERY: theirs.encode_query, InputType.DOCUMENT: theirs.encode_document}
    return run.get(purpose, theirs.encode)(TEXTS, convert_to_numpy=True)  # type: ignore[arg-type]


def embed(served: Any, purpose: InputType | None, texts: Sequence[str] = TEXTS) -> list[np.ndarray]:
    items = [EmbedItem(text, output="multi_vector", input_type=purpose, split=True) for text in texts]
    return [result.vector for result in perform(served.tasks[Task.EMBED], items)]


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("bert", {"query_expansion": CLASSIC, "document_length": 20}),
        ("bert", {"query_expansion": CLASSIC | {"attend": True}, "function": "meanmaxsim"}),
        ("bert", {"query_expansion": CLASSIC | {"strategy": "min", "token": "[SEP]"}, "query_length": 24}),
        ("bert", {"query_length": 9, "document_length": 12, "words": [".", "no such word"]}),
        ("modernbert", {"query_expansion": CLASSIC, "tasks": ["query", "document"]}),
        ("roberta", {"query_expansion": CLASSIC}),
        ("distilbert", {"query_expansion": CLASSIC | {"strategy": "min"}, "words": []}),
    ],
)
def test_vectors_are_those_of_sentence_transformers(architecture: str, options: dict[str, Any], tmp_path: Path) -> None:
    theirs, folder = build_colbert(tmp_path, architecture, **dict(options))
    TEXT.check_folder(folder)
    served: Any = TEXT.load(folder, dtype=torch.float32)
    assert served.dimensions == 8

    for purpose in PURPOSES:
        expected = encode(theirs, purpose)
        found = embed(served, purpose)
        assert [each.shape for each in found] == [each.shape for each in expected], purpose
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5)
        (alone,) = embed(served, purpose, TEXTS[1:2])
        np.testing.assert_allclose(alone, found[1], atol=1e-5)

    assert served.comparison.method is CompareMethod.MULTI_VECTOR
    queries, documents = encode(theirs, InputType.QUERY), encode(theirs, InputType.DOCUMENT)
    scores = theirs.similarity(queries, documents).numpy()
    np.testing.assert_allclose(compare_multi(served.comparison.function, queries, documents), scores, rtol=1e-5)


def as_pylate(folder: Path, **settings: Any) -> Path:
    """Rewrites a folder as PyLate saved it: without the last two modules, with the settings in one file."""
    listed = json.loads((folder / "modules.json").read_text())[:3]
    for each in listed[1:]:
        each["type"] = "pylate.models.Dense.Dense"
        config = folder / each["path"] / "config.json"
        kept = {name: value for name, value in json.loads(config.read_text()).items() if "module" not in name}
        config.write_text(json.dumps(kept))
    (folder / "modules.json").write_text(json.dumps(listed))
    content = {"model_type": "ColBERT", "similarity_fn_name": "MaxSim", "document_length": 20, **settings}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(content))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 19}))
    return folder


def as_stanford(folder: Path, **metadata: Any) -> Path:
    """Rewrites an encoder as Stanford's ColBERT saved it: the projection is among its weights."""
    weights = load_file(folder / "model.safetensors")
    generator = torch.Generator().manual_seed(0)
    size = json.loads((folder / "config.json").read_text())["hidden_size"]
    weights["linear.weight"] = torch.randn(8, size, generator=generator)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text()) | {"architectures": ["HF_ColBERT"]}
    (folder / "config.json").write_text(json.dumps(config))
    if metadata:
        (folder / "artifact.metadata").write_text(json.dumps(metadata))
    return folder


# An entry of the vocabulary that texts are not split into stands for `[unused0]`.
OLDER: list[tuple[Any, dict[str, Any]]] = [
    (as_pylate, {"query_prefix": "##s ", "document_prefix": "[D] ", "query_length": 14}),
    (as_pylate, {"query_prefix": "[Q] ", "attend_to_expansion_tokens": True, "skiplist_words": [","]}),
    (as_pylate, {"do_query_expansion": False, "query_length": 10, "prompts": {"query": "find: "}}),
    (as_stanford, {"query_token_id": "##s", "doc_token_id": "##e", "query_maxlen": 16, "doc_maxlen": 20}),
    (as_stanford, {"mask_punctuation": False, "attend_to_mask_tokens": True}),
    (as_stanford, {}),
]


@pytest.mark.parametrize(("save", "settings"), OLDER)
def test_older_folders_are_read_as_sentence_transformers_does(
    save: Any, settings: dict[str, Any], tmp_path: Path
) -> None:
    folder = tiny_text_folder(tmp_path / "x", "bert") if save is as_stanford else build_colbert(tmp_path)[1]
    save(folder, **settings)
    theirs = MultiVectorEncoder(str(folder), device="cpu", local_files_only=True)
    TEXT.check_folder(folder)
    served: Any = TEXT.load(folder, dtype=torch.float32)
    for purpose in PURPOSES:
        for one, other in zip(embed(served, purpose), encode(theirs, purpose), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5, err_msg=str(purpose))


def test_rows_of_all_kinds_share_a_batch(tmp_path: Path) -> None:
    _, folder = build_colbert(tmp_path, query_expansion=CLASSIC)
    served: Any = TEXT.load(folder, dtype=torch.float32)
    options: list[dict[str, Any]] = [
        *({"output": "multi_vector", "input_type": purpose} for purpose in PURPOSES),
        {"pooling": Pooling.MEAN},
        {"output": "tokens"},
    ]
    items = [EmbedItem(text, truncate=True, **each) for text in TEXTS[:3] for each in options]
    for item, together in zip(items, perform(served.tasks[Task.EMBED], items), strict=True):
        (alone,) = perform(served.tasks[Task.EMBED], [item])
        np.testing.assert_allclose(together.vector, alone.vector, atol=1e-5)


def test_maxsim_is_the_sum_of_the_best_products() -> None:
    rng = np.random.default_rng(0)
    first, second = ([rng.normal(size=(rows, 5)).astype(np.float32) for rows in sizes] for sizes in ((3, 1), (4, 2, 1)))
    expected = [
        [sum(max(float(np.dot(a, b)) for b in document) for a in query) for document in second] for query in first
    ]
    np.testing.assert_allclose(compare_multi(SimilarityFunction.MAXSIM, first, second), expected, rtol=1e-5)
    means = np.array(expected) / [[3], [1]]
    np.testing.assert_allclose(compare_multi(SimilarityFunction.MEAN_MAXSIM, first, second), means, rtol=1e-5)


def test_other_encoders_give_all_tokens_of_length_one(tmp_path: Path) -> None:
    served: Any = load_text(tiny_text_folder(tmp_path, "bert"))
    items = [EmbedItem(TEXTS[0], output=output) for output in ("multi_vector", "tokens")]  # type: ignore[arg-type]
    (found, tokens) = perform(served.tasks[Task.EMBED], items)
    np.testing.assert_allclose(found.vector, tokens.vector, atol=1e-6)
    raw = perform(served.tasks[Task.EMBED], [EmbedItem(TEXTS[0], output="multi_vector", normalize=False)])[0].vector
    assert np.linalg.norm(raw, axis=1) != pytest.approx(1)


def test_refusals(tmp_path: Path) -> None:
    _, folder = build_colbert(tmp_path, query_expansion=CLASSIC, document_length=12)
    served: Any = TEXT.load(folder, dtype=torch.float32)
    handler = served.tasks[Task.EMBED]
    for options in ({"pooling": Pooling.MEAN}, {"layer": 1}, {"dimensions": 2}):
        with pytest.raises(InvalidValue, match=f"`{next(iter(options))}`"):
            handler.steps(EmbedItem("a", output="multi_vector", **options))
    with pytest.raises(InvalidValue, match="set output to multi_vector"):
        handler.steps(EmbedItem("a"))
    for purpose in (InputType.QUERY, InputType.DOCUMENT):
        with pytest.raises(InputTooLong):
            handler.steps(EmbedItem(TEXTS[-1], output="multi_vector", input_type=purpose))
    with pytest.raises(InvalidModel, match="trained for multi_vector"):
        export_text(folder, tmp_path / "onnx", Task.EMBED)


@pytest.mark.parametrize(
    ("file", "change", "says"),
    [
        ("sentence_bert_config.json", {"query_expansion": {"strategy": "max", "length": 4}}, "query_expansion"),
        ("sentence_bert_config.json", {"query_expansion": {"strategy": "min"}}, "query_expansion"),
        ("sentence_bert_config.json", {"document_length": 0}, "document_length"),
        ("config_sentence_transformers.json", {"similarity_fn_name": "xtr"}, "'xtr'"),
        ("3_MultiVectorMask/config.json", {"keep_only_token_ids": [5]}, "keep_only_token_ids"),
        ("3_MultiVectorMask/config.json", {"skiplist_words": "."}, "skiplist_words"),
        ("1_Dense/config.json", {"module_input_name": "sentence_embedding"}, "module Dense"),
    ],
)
def test_a_folder_that_says_something_else_is_refused(
    colbert: Path, tmp_path: Path, file: str, change: dict[str, Any], says: str
) -> None:
    kept = (colbert / file).read_text(encoding="utf-8")
    try:
        (colbert / file).write_text(json.dumps(json.loads(kept) | change), encoding="utf-8")
        with pytest.raises(InvalidModel, match=says):
            TEXT.check_folder(colbert)
    finally:
        (colbert / file).write_text(kept, encoding="utf-8")


@pytest.fixture(scope="module")
def colbert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_colbert(tmp_path_factory.mktemp("colbert"), query_expansion=CLASSIC)[1]


@pytest.mark.parametrize(
    ("expansion", "says"), [({"length": 1000}, "expanded to 1000"), ({"length": 8, "token": "[none]"}, "lacks")]
)
def test_an_expansion_that_does_not_fit_is_refused(
    colbert: Path, tmp_path: Path, expansion: dict[str, Any], says: str
) -> None:
    file = colbert / "sentence_bert_config.json"
    kept = file.read_text(encoding="utf-8")
    try:
        changed = {"query_expansion": {"strategy": "fixed", **expansion}}
        file.write_text(json.dumps(json.loads(kept) | changed), encoding="utf-8")
        with pytest.raises(InvalidModel, match=says):
            TEXT.load(colbert, dtype=torch.float32)
    finally:
        file.write_text(kept, encoding="utf-8")
