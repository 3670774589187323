"""Classifiers of texts and of tokens answer as transformers' own pipelines, whatever the head."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from transformers import pipeline

from app.errors import EmptyInput, InputTooLong, InvalidModel, InvalidValue
from app.modalities.classification import ClassifyItem, TextPair, TokenOptions
from app.modalities.registry import load
from app.modalities.served_model import ServedModel
from app.modalities.text.encoding import TextEncoder
from app.types import Activation, Aggregation, ClassifierType, Task
from tests.fakes.perform import perform
from tests.fakes.tiny_models import ARCHITECTURES, CORPUS, MAX_LENGTH, tiny_bert_folder, tiny_classifier_folder

LABELS = ("good", "bad", "neither")
TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
PAIR = TextPair("The lions chase the zebras.", "Water boils at 100 degrees, and freezes at 0.")
LONG = " ".join(CORPUS * 2)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def texts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_classifier_folder(tmp_path_factory.mktemp("texts"), request.param, labels=LABELS)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def tokens(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_classifier_folder(tmp_path_factory.mktemp("tokens"), request.param, of_tokens=True, labels=TAGS)


@pytest.fixture(scope="module")
def bert_texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_classifier_folder(tmp_path_factory.mktemp("texts"), labels=LABELS)


@pytest.fixture(scope="module")
def bert_tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_classifier_folder(tmp_path_factory.mktemp("tokens"), of_tokens=True, labels=TAGS)


@cache
def served(folder: Path) -> ServedModel:
    return load(folder)


@cache
def theirs(task: Any, folder: Path) -> Any:
    return pipeline(task, model=str(folder))


def scores(folder: Path, items: list[ClassifyItem], activation: Activation | None = None) -> list[list[float]]:
    """The scores of each item in the order of the labels."""
    results = perform(served(folder).tasks[Task.CLASSIFY], items)
    found = [{each.label: each.score for each in result.rank(activation)} for result in results]
    return [[each[label] for label in sorted(each)] for each in found]


def expect(folder: Path, given: Any, **options: Any) -> list[float]:
    found = theirs("text-classification", folder)(given, top_k=None, **options)
    return [each["score"] for each in sorted(found, key=lambda each: str(each["label"]))]


def test_texts_and_pairs(texts: Path) -> None:
    items = [ClassifyItem(text) for text in CORPUS] + [ClassifyItem(PAIR)]
    given = [*CORPUS, {"text": PAIR.text, "text_pair": PAIR.text_pair}]
    expected = [pytest.approx(expect(texts, each), abs=1e-5) for each in given]

    assert scores(texts, items) == expected
    assert [scores(texts, [item])[0] for item in items] == expected


def test_truncation(texts: Path) -> None:
    pair = TextPair(LONG, CORPUS[0])
    longer = TextPair(LONG, LONG[3:])
    items = [ClassifyItem(each, truncate=True) for each in (LONG, pair, longer)]
    given = [LONG, *({"text": each.text, "text_pair": each.text_pair} for each in (pair, longer))]

    assert scores(texts, items) == [pytest.approx(expect(texts, each, truncation=True), abs=1e-5) for each in given]
    with pytest.raises(InputTooLong, match=rf"\b{MAX_LENGTH};"):
        scores(texts, [ClassifyItem(LONG)])


def test_tokens(tokens: Path) -> None:
    results = perform(served(tokens).tasks[Task.CLASSIFY], [ClassifyItem(text) for text in CORPUS])
    expected = theirs("token-classification", tokens)(list(CORPUS))

    assert sum(map(len, expected)) > 20
    for text, result, entities in zip(CORPUS, results, expected, strict=True):
        assert [(e.label, e.word, e.start, e.end, e.index) for e in result.entities] == [
            (e["entity"], e["word"], e["start"], e["end"], e["index"]) for e in entities
        ], text
        assert [e.score for e in result.entities] == pytest.approx([e["score"] for e in entities], abs=1e-5)


@pytest.mark.parametrize("aggregation", [each for each in Aggregation if each is not Aggregation.NONE])
@pytest.mark.parametrize("stride", [None, 7])
def test_entities(tokens: Path, aggregation: Aggregation, stride: int | None) -> None:
    options = TokenOptions(aggregation, ignore_labels=("O", "LOC"), stride=stride)
    item = ClassifyItem(LONG, tokens=options, truncate=stride is None)
    (result,) = perform(served(tokens).tasks[Task.CLASSIFY], [item])
    given = {"aggregation_strategy": aggregation, "ignore_labels": ["O", "LOC"], "stride": stride}
    expected = theirs("token-classification", tokens)(LONG, **given)
    if stride and expected and expected[0]["start"] == expected[0]["end"]:
        del expected[0]  # transformers gives a first entity without characters twice

    assert [(e.label, e.word, e.start, e.end) for e in result.entities] == [
        (e["entity_group"], e["word"], e["start"], e["end"]) for e in expected
    ]
    assert [e.score for e in result.entities] == pytest.approx([e["score"] for e in expected], abs=1e-5)


@pytest.mark.parametrize(
    ("labels", "problem", "type_"),
    [
        (LABELS, None, ClassifierType.SINGLE_LABEL),
        (LABELS, "multi_label_classification", ClassifierType.MULTI_LABEL),
        (LABELS, "regression", ClassifierType.REGRESSION),
        (("score",), "regression", ClassifierType.REGRESSION),
        (("relevant",), None, ClassifierType.MULTI_LABEL),
    ],
)
def test_problem_types(tmp_path: Path, labels: tuple[str, ...], problem: str | None, type_: ClassifierType) -> None:
    folder = tiny_classifier_folder(tmp_path, labels=labels, problem_type=problem)
    assert (served(folder).classifier.type, served(folder).classifier.labels) == (type_, labels)
    for activation in (None, *Activation):
        options = {"function_to_apply": str(activation)} if activation else {}
        (found,) = scores(folder, [ClassifyItem(CORPUS[0])], activation)
        assert found == pytest.approx(expect(folder, CORPUS[0], **options), abs=1e-5)


def test_a_classifier_embeds_by_its_encoder_and_fills_no_mask(tmp_path: Path) -> None:
    model = served(tiny_classifier_folder(tmp_path, labels=LABELS))
    assert set(model.tasks) == {Task.CLASSIFY, Task.EMBED}
    assert "classifier" in model.unsupported[Task.FILL_MASK]
    assert (model.forward_path, model.max_length) == ("unpadded", MAX_LENGTH)


@pytest.mark.parametrize(
    ("item", "error"),
    [
        (ClassifyItem(" "), EmptyInput),
        (ClassifyItem(TextPair("a lion", "")), EmptyInput),
        (ClassifyItem((1, 10**6)), InvalidValue),
        (ClassifyItem(b"GIF89a"), InvalidValue),
        (ClassifyItem("a lion", tokens=TokenOptions()), InvalidValue),
    ],
)
def test_refusals_of_texts(bert_texts: Path, item: ClassifyItem, error: type[Exception]) -> None:
    with pytest.raises(error):
        next(served(bert_texts).tasks[Task.CLASSIFY].steps(item))


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (ClassifyItem(PAIR), "one text"),
        (ClassifyItem((1, 2)), "one text"),
        (ClassifyItem("a", tokens=TokenOptions(stride=3)), "aggregation_strategy"),
        (ClassifyItem("a", tokens=TokenOptions(Aggregation.SIMPLE, stride=40)), "at most 31"),
    ],
)
def test_refusals_of_tokens(bert_tokens: Path, item: ClassifyItem, message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        next(served(bert_tokens).tasks[Task.CLASSIFY].steps(item))


def test_token_ids_are_read_as_their_text(bert_texts: Path) -> None:
    folder = bert_texts
    ids = tuple(token.id for token in served(folder).tokenize(CORPUS[0]))
    assert scores(folder, [ClassifyItem(ids)]) == scores(folder, [ClassifyItem(ids[1:-1])])
    assert scores(folder, [ClassifyItem(ids)]) == scores(folder, [ClassifyItem(CORPUS[0])])


def _edit(folder: Path, **config: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))


def test_a_folder_without_its_head_embeds_and_says_why(tmp_path: Path) -> None:
    folder = tiny_classifier_folder(tmp_path, labels=LABELS)
    weights = load_file(folder / "model.safetensors")
    save_file(
        {n: t for n, t in weights.items() if n != "classifier.bias"}, folder / "model.safetensors", {"format": "pt"}
    )
    model = load(folder)
    assert set(model.tasks) == {Task.EMBED}
    assert "classifier.bias" in model.unsupported[Task.CLASSIFY]


def test_a_masked_lm_that_is_named_a_classifier_is_served_as_what_it_is(tmp_path: Path) -> None:
    folder = tiny_bert_folder(tmp_path)
    _edit(folder, architectures=["BertForSequenceClassification"], id2label={"0": "good", "1": "bad"})
    model = load(folder)
    assert set(model.tasks) == {Task.EMBED, Task.FILL_MASK, Task.SCORE}
    assert "pooler" in model.unsupported[Task.CLASSIFY]


def test_a_text_beyond_the_bound_of_one_window_is_read_to_its_end(
    bert_tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TextEncoder, "max_characters", lambda *_: 100)
    options = TokenOptions(Aggregation.SIMPLE, ignore_labels=(), stride=5)
    item = ClassifyItem(LONG, truncate=True, tokens=options)
    (result,) = perform(served(bert_tokens).tasks[Task.CLASSIFY], [item])
    assert result.entities[-1].end > 100 and len(LONG) > 100


def test_labels_that_do_not_fit_the_head_are_told(tmp_path: Path) -> None:
    folder = tiny_classifier_folder(tmp_path, labels=LABELS)
    _edit(folder, id2label={"0": "good", "1": "bad"}, label2id={"good": 0, "bad": 1})
    assert "config.json makes it" in load(folder).unsupported[Task.CLASSIFY]


@pytest.mark.parametrize(
    "config",
    [
        {"id2label": {"0": "a", "1": "b", "3": "c"}, "label2id": {"a": 0, "b": 1, "c": 3}},
    ],
)
def test_configurations_that_are_refused(tmp_path: Path, config: dict[str, Any]) -> None:
    folder = tiny_classifier_folder(tmp_path, labels=LABELS)
    _edit(folder, **config)
    with pytest.raises(InvalidModel, match="id2label"):
        load(folder)


def test_a_model_that_was_stored_as_an_encoder_stays_one(tmp_path: Path) -> None:
    folder = tiny_classifier_folder(tmp_path, labels=LABELS)
    manifest = {"modality": "text", "tasks": ["embeddings"], "forward_path": "unpadded"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert set(load(folder).tasks) == {Task.EMBED}
    (folder / "manifest.json").write_text(json.dumps(manifest | {"tasks": ["classify"]}))
    assert set(load(folder).tasks) == {Task.CLASSIFY}
