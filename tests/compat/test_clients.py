"""The unmodified clients of OpenAI and Hugging Face, on a real server with real, tiny models."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError
from transformers import pipeline

from app.jobs.connection import EmbeddedRedis, connect
from app.jobs.files import FileStore
from app.main import create_app
from app.modalities import registry
from app.modalities.probe import HEAD, ProbeHead
from app.settings import Settings
from app.store.manifest import Manifest
from app.store.store import ModelStore
from app.types import Activation, Classifier, ClassifierType, ModalityName, Task
from tests.fakes.imports import import_folder
from tests.fakes.jobs import JobSystem
from tests.fakes.server import serving
from tests.fakes.tiny_images import picture, tiny_image_folder
from tests.fakes.tiny_models import tiny_bert_folder, tiny_classifier_folder

MODEL = "tiny/bert"
ONE, TWO = "The capital of France is [MASK].", "The [MASK] chase the [MASK] in the savanna."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert_folder(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Any:
    return pipeline("fill-mask", model=str(folder))


def tiny_image_classifier(path: Path) -> Path:
    """Writes an encoder of images with a probe."""
    folder = tiny_image_folder(path)
    kind = Classifier(labels=("a", "b", "c"), type=ClassifierType.SINGLE_LABEL, activation=Activation.SOFTMAX)
    size = int(registry.load(folder).dimensions or 0)
    numbers = np.random.default_rng(0).normal(size=(3, size))
    ProbeHead(kind, np.zeros(size), np.ones(size), numbers, np.zeros(3)).save(folder / HEAD)
    return folder


@pytest.fixture(scope="module")
def classifiers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of a classifier of texts and of one of tokens, by their pipelines."""
    root = tmp_path_factory.mktemp("classifiers")
    return {
        "text-classification": tiny_classifier_folder(root / "texts", labels=("good", "bad", "neither")),
        "token-classification": tiny_classifier_folder(
            root / "tokens", of_tokens=True, labels=("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
        ),
    }


@pytest.fixture(scope="module")
def their_classifiers(classifiers: dict[str, Path]) -> dict[str, Any]:
    return {task: pipeline(task, model=str(folder)) for task, folder in classifiers.items()}  # type: ignore[call-overload]


@pytest.fixture(scope="module")
def jobs(redis_server: EmbeddedRedis) -> Iterator[JobSystem]:
    with connect(redis_server.url) as redis:
        redis.flushall()
        yield JobSystem(redis)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    return ModelStore(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def url(
    folder: Path,
    theirs: Any,
    classifiers: dict[str, Path],
    their_classifiers: dict[str, Any],
    store: ModelStore,
    jobs: JobSystem,
    redis_server: EmbeddedRedis,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    # After `theirs`: transformers must not load two models at once.
    root = tmp_path_factory.mktemp("server")
    manifest = Manifest(
        modality=ModalityName.TEXT, architecture="bert", tasks=(Task.FILL_MASK, Task.EMBED), parameters=1
    )
    store.publish(folder, manifest, name=MODEL)
    for task, classifier in classifiers.items():
        import_folder(store, classifier, task)
    import_folder(store, tiny_image_classifier(root / "images"), "images")
    settings = Settings(var_dir=root / "var", device="cpu", dtype="float32", threads=1, redis_url=redis_server.url)
    files = FileStore(connect(redis_server.url), settings.files_dir)
    with serving(create_app(settings, store=store, jobs=jobs, files=files)) as address:
        yield address


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="ignored", max_retries=0) as client:
        yield client


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' offline mode keeps Hugging Face's client even from this machine."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


def hub(url: str, task: str, model: str = MODEL) -> InferenceClient:
    return InferenceClient(model=f"{url}/models/{model}/pipeline/{task}", token="hf_ambient")


# Hugging Face


def test_fill_mask_equals_the_pipeline_of_transformers(url: str, theirs: Any) -> None:
    ours = hub(url, "fill-mask").fill_mask(ONE, top_k=7)

    expected = theirs(ONE, top_k=7)
    # Cloze fills the text as it was given; the pipeline decodes what the tokenizer left of it.
    assert [(e.token, e.token_str, e.sequence.lower()) for e in ours] == [
        (e["token"], e["token_str"], e["sequence"]) for e in expected
    ]
    assert [e.score for e in ours] == pytest.approx([e["score"] for e in expected], abs=1e-6)


def test_several_masks_nest_as_in_the_pipeline(url: str, theirs: Any) -> None:
    ours: Any = hub(url, "fill-mask").fill_mask(TWO)

    assert [[e["token"] for e in mask] for mask in ours] == [[e["token"] for e in mask] for mask in theirs(TWO)]


def test_targets(url: str) -> None:
    ours = hub(url, "fill-mask").fill_mask(ONE, targets=["paris", "world"])

    assert {e.token_str for e in ours} == {"paris", "world"}
    with pytest.raises(HfHubHTTPError, match="a target must be one"):  # the shape has room for one token
        hub(url, "fill-mask").fill_mask(ONE, targets=["paris", "paris paris"])


def test_feature_extraction(url: str) -> None:
    client = hub(url, "feature-extraction")

    one = client.feature_extraction("a lion")
    cut = client.feature_extraction("a lion " * 200, truncate=True, truncation_direction="left", normalize=True)

    assert one.dtype == np.float32
    assert one.ndim == 1
    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-5)
    assert cut.shape == one.shape


def test_sentence_similarity(url: str) -> None:
    same, other = hub(url, "sentence-similarity").sentence_similarity("a lion", ["a lion", "water boils at 100"])

    assert same == pytest.approx(1, abs=1e-5)
    assert other < same


@pytest.mark.parametrize("options", [{}, {"top_k": 2}, {"function_to_apply": "SIGMOID"}])
def test_text_classification(url: str, their_classifiers: dict[str, Any], options: dict[str, Any]) -> None:
    task = "text-classification"
    ours = hub(url, task, task).text_classification("a lion", **options)

    expected = their_classifiers[task]("a lion", **{"top_k": None, **options})
    assert [e.label for e in ours] == [e["label"] for e in expected]
    assert [e.score for e in ours] == pytest.approx([e["score"] for e in expected], abs=1e-5)


@pytest.mark.parametrize(
    "options",
    [{}, {"aggregation_strategy": "max", "ignore_labels": []}, {"aggregation_strategy": "simple", "stride": 5}],
)
def test_token_classification(url: str, their_classifiers: dict[str, Any], options: dict[str, Any]) -> None:
    task, text = "token-classification", "The lions chase the zebras in the savanna. " * 12
    ours = hub(url, task, task).token_classification(text, **options)

    expected = their_classifiers[task](text, **options)
    label = "entity_group" if options else "entity"
    assert [(getattr(e, label), e.word, e.start, e.end) for e in ours] == [
        (e[label], e["word"], e["start"], e["end"]) for e in expected
    ]
    assert ours and [e.score for e in ours] == pytest.approx([e["score"] for e in expected], abs=1e-5)


def test_zero_shot_classification(url: str) -> None:
    labels = ["water boils at 100", "a lion"]
    ours = hub(url, "zero-shot-classification").zero_shot_classification("a lion", labels)

    assert [e.label for e in ours] == ["a lion", "water boils at 100"]
    assert sum(e.score for e in ours) == pytest.approx(1)


def test_image_classification(url: str) -> None:
    client, content = hub(url, "image-classification", "images"), picture()
    found = client.image_classification(content)
    assert [e.label for e in client.image_classification(content, top_k=1)] == [found[0].label]
    assert sum(e.score for e in found) == pytest.approx(1) and len(found) == 3
    with pytest.raises(HfHubHTTPError, match="the input is a file"):
        hub(url, "audio-classification", "text-classification").audio_classification(content)


@pytest.mark.parametrize(
    ("task", "parameters", "param"),
    [
        ("zero-shot-classification", {"candidate_labels": ["a"], "hypothesis_template": "no place"}, "hypothesis"),
        ("zero-shot-classification", {"candidate_labels": ["a"], "hypothesis_template": "{} {}"}, "hypothesis"),
        ("zero-shot-classification", {"candidate_labels": [""] * 100_000}, "candidate_labels"),
        ("zero-shot-classification", {"candidate_labels": "a," * 100_000}, "candidate_labels"),
        ("token-classification", {"ignore_labels": [1] * 100_000}, "ignore_labels"),
        ("token-classification", {"aggregation_strategy": "max", "stride": 1000}, "parameters.stride"),
    ],
)
def test_parameters_that_classify_nothing_are_refused(
    url: str, task: str, parameters: dict[str, Any], param: str
) -> None:
    model = MODEL if task.startswith("zero") else "token-classification"
    body = {"inputs": "a lion", "parameters": parameters}
    answer = httpx.post(f"{url}/models/{model}/pipeline/{task}", json=body)
    error = answer.json()["error"]
    assert answer.status_code == 422 and param in error["param"]


def test_a_classifier_of_pictures_reads_them_without_a_task_too(url: str) -> None:
    picture_data = base64.b64encode(picture()).decode()
    labels = httpx.post(f"{url}/models/images", json={"inputs": picture_data}).json()
    assert len(labels) == 3
    answer = httpx.post(f"{url}/models/images", json={"inputs": "%%%"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, "inputs")


def test_pairs_and_entities_over_http(url: str) -> None:
    pair = {"text": "a lion", "text_pair": "water boils"}
    body = {"model": "text-classification", "input": ["a lion", pair]}
    alone, together = httpx.post(f"{url}/v1/classify", json=body).json()["data"]
    assert alone["scores"] != together["scores"]
    options = {"model": "token-classification", "aggregation_strategy": "simple"}
    answer = httpx.post(f"{url}/v1/classify", json={**options, "input": "The lions chase.", "ignore_labels": []}).json()
    (found,) = answer["data"]
    assert (found["type"], found["label"], found["scores"]) == ("tokens", None, [])
    assert [found["entities"][0]["start"], found["entities"][-1]["end"]] == [0, 16]
    stream = httpx.post(
        f"{url}/v1/classify",
        params={"model": "text-classification", "top_k": 3},
        content=json.dumps({"id": 1, "input": pair}),
        headers={"content-type": "application/x-ndjson"},
    )
    assert stream.json()["label"] == together["label"]
    assert stream.json()["scores"][0]["score"] == pytest.approx(together["scores"][0]["score"])


def test_the_message_of_an_error_reaches_the_user(url: str) -> None:
    with pytest.raises(HfHubHTTPError, match="mask") as raised:
        hub(url, "fill-mask").fill_mask("nothing to fill")

    assert raised.value.response.status_code == 422
    assert raised.value.request_id


# OpenAI


def test_models_are_deleted(client: openai.OpenAI, store: ModelStore, folder: Path) -> None:
    manifest = Manifest(modality=ModalityName.TEXT, architecture="bert", tasks=(Task.EMBED,), parameters=1)
    for _ in range(2):
        store.publish(folder, manifest, name="org/spare")
    deleted = client.models.delete("org/spare@1")
    assert (deleted.id, deleted.object, deleted.deleted) == ("org/spare@1", "model", True)
    assert client.models.retrieve("org/spare").id == "org/spare"
    assert client.models.delete("org/spare").deleted
    with pytest.raises(openai.NotFoundError):
        client.models.delete("org/spare")


def test_models(client: openai.OpenAI) -> None:
    [listed] = [each for each in client.models.list().data if each.id == MODEL]
    assert (listed.id, listed.owned_by) == (MODEL, "cloze")
    assert client.models.retrieve(MODEL).id == MODEL  # sent as tiny%2Fbert
    with pytest.raises(openai.NotFoundError) as raised:
        client.models.retrieve("absent")
    assert raised.value.code == "model_not_found"
    assert raised.value.param == "model"
    assert raised.value.request_id


def test_embeddings_by_default_and_as_floats_are_equal(client: openai.OpenAI) -> None:
    texts = ["a lion", "water boils at 100 degrees"]

    encoded = client.embeddings.create(model=MODEL, input=texts)  # base64 on the wire
    floats = client.embeddings.create(model=MODEL, input=texts, encoding_format="float")

    assert [d.embedding for d in encoded.data] == [pytest.approx(d.embedding) for d in floats.data]
    assert encoded.usage.prompt_tokens == encoded.usage.total_tokens > 0
    assert encoded.model == f"{MODEL}@1"


def test_a_long_text_is_embedded_in_windows(client: openai.OpenAI) -> None:
    long = "a lion chases the zebras " * 100

    raw = client.embeddings.with_raw_response.create(model=MODEL, input=["a lion", long])

    answer = raw.parse()
    windows = answer.usage.model_extra["windows"]
    assert windows > 1 and raw.headers["x-embedding-windows"] == str(windows)
    assert answer.usage.prompt_tokens > 400
    assert np.linalg.norm(answer.data[1].embedding) == pytest.approx(1, abs=1e-3)
    (alone,) = client.embeddings.create(model=MODEL, input=long).data
    assert alone.embedding == pytest.approx(answer.data[1].embedding, abs=1e-3)
    with pytest.raises(openai.UnprocessableEntityError, match="at most"):
        client.embeddings.create(model=MODEL, input=long, extra_body={"truncate": False})


def test_embeddings_of_token_ids(client: openai.OpenAI) -> None:
    own = {"token_ids": True, "truncate_dim": "force"}
    with_ids = client.embeddings.create(model=MODEL, input=[5, 6, 7], dimensions=4, extra_body=own)

    assert len(with_ids.data[0].embedding) == 4
    with pytest.raises(openai.UnprocessableEntityError, match="vocabulary of"):
        client.embeddings.create(model=MODEL, input=[10**9], extra_body=own)
    with pytest.raises(openai.UnprocessableEntityError, match="check_embedding_ctx_length=False"):
        client.embeddings.create(model=MODEL, input=[5, 6, 7])


def test_files(client: openai.OpenAI, tmp_path: Path) -> None:
    path = tmp_path / "lions.txt"
    path.write_text("The lions hunt.\n")

    file = client.files.create(file=path, purpose="fine-tune")

    assert (file.filename, file.bytes, file.status) == ("lions.txt", 16, "processed")
    assert [f.id for f in client.files.list(purpose="fine-tune")] == [file.id]
    assert client.files.content(file.id).read() == path.read_bytes()
    assert client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file.id)


def test_jobs(client: openai.OpenAI, jobs: JobSystem, tmp_path: Path) -> None:
    path = tmp_path / "lions.txt"
    path.write_text("The lions hunt.\n\nThe deer run.\n")
    file = client.files.create(file=path, purpose="fine-tune")
    method: Any = {"type": "mlm", "mlm": {"hyperparameters": {"max_steps": 10}}}

    ids = [
        client.fine_tuning.jobs.create(
            model=MODEL, training_file=file.id, method=method, seed=n, metadata={"n": str(n)}
        ).id
        for n in range(3)
    ]

    assert [job.id for job in client.fine_tuning.jobs.list(limit=1)] == ids[::-1]  # three pages
    assert [job.id for job in client.fine_tuning.jobs.list(metadata={"n": "1"})] == [ids[1]]
    job = client.fine_tuning.jobs.retrieve(ids[0])
    assert (job.status, job.model, job.seed) == ("queued", f"{MODEL}@1", 0)
    assert client.fine_tuning.jobs.cancel(ids[2]).status == "cancelled"
    assert client.fine_tuning.jobs.pause(ids[0]).status == "paused"
    assert client.fine_tuning.jobs.resume(ids[0]).status == "queued"
    claim = jobs.queue.claim("worker", 60)
    assert claim is not None
    jobs.queue.add_checkpoint(claim, 5, "checkpoints/5", {"eval_loss": 2.5, "eval_accuracy": 0.5})
    [checkpoint] = client.fine_tuning.jobs.checkpoints.list(ids[0]).data
    assert (checkpoint.metrics.valid_loss, checkpoint.metrics.valid_mean_token_accuracy) == (2.5, 0.5)
    jobs.queue.succeed(claim, "result@1")
    assert client.fine_tuning.jobs.retrieve(ids[0]).fine_tuned_model == "result@1"
    messages = [event.message for event in client.fine_tuning.jobs.list_events(ids[0], limit=2)]
    assert messages[0].startswith("The job succeeded")
    assert messages[-1].startswith("Created")


def test_errors_of_jobs(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        client.fine_tuning.jobs.create(model="absent", training_file="file-none")
    assert "bert-tiny" in str(raised.value)
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        client.fine_tuning.jobs.create(
            model="bert-tiny", training_file="file-none", hyperparameters={"learning_rate_multiplier": 2}
        )
    assert refused.value.param == "hyperparameters.learning_rate_multiplier"
