"""The commands as a person or a script meets them; `cloze serve` itself is in test_serve.py."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from app import __version__, cli
from app.commands.pretrain import parse_setting
from app.commands.serve import first_steps
from app.errors import AppError, Conflict, EmptyInput, InvalidValue
from app.jobs.connection import EmbeddedRedis, connect
from app.jobs.jobs import Jobs
from app.modalities.probe import HEAD, ProbeHead
from app.store.manifest import Manifest
from app.store.store import ModelEntry, ModelStore
from app.types import Activation, Classifier, ClassifierType, ModalityName, Task
from tests.fakes.jobs import make_spec
from tests.fakes.tiny_models import tiny_bert_folder

NOBODY = "http://127.0.0.1:1"

Run = Callable[..., Result]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelStore:
    monkeypatch.setenv("CLOZE_MODEL_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("CLOZE_VAR_DIR", str(tmp_path / "var"))
    monkeypatch.setenv("CLOZE_PORT", "1")  # where nobody listens
    monkeypatch.setenv("CLOZE_DTYPE", "float32")
    return ModelStore(tmp_path / "store")


@pytest.fixture
def run() -> Run:
    def invoke(*args: str, text: str | None = None) -> Result:
        return CliRunner().invoke(cli.app, args, input=text, catch_exceptions=False)

    return invoke


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert_folder(tmp_path_factory.mktemp("models") / "tiny")


def test_help_is_quick_because_it_loads_no_torch() -> None:
    heavy = "{'torch', 'transformers', 'numpy', 'redis', 'fastapi'}"
    script = f"import sys, app.cli; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_version_and_help(run: Run) -> None:
    assert run("--version").stdout.strip() == __version__
    for command in ([], ["jobs"], ["models"]):
        assert "Usage" in run(*command, "--help").stdout


def test_models_are_imported_listed_named_and_deleted(run: Run, store: ModelStore, tiny: Path) -> None:
    assert run("models", "list").stderr.startswith(f"{store.root} holds no models")
    assert "Imported org/tiny@1: " in run("models", "import", str(tiny), "--name", "org/tiny").stdout
    assert json.loads(run("models", "import", str(tiny), "--name", "org/tiny", "--json").stdout)["id"] == "org/tiny@2"
    assert run("models", "alias", "org/tiny@1", "prod").stdout == "org/tiny:prod is org/tiny@1\n"

    listed = json.loads(run("models", "list", "--json").stdout)
    assert [(model["id"], model["aliases"]) for model in listed] == [("org/tiny@2", []), ("org/tiny@1", ["prod"])]
    assert set(listed[0]["tasks"]) == {"fill-mask", "score", "embeddings"}
    table = run("models", "list").stdout
    assert table.index("org/tiny@2") < table.index("org/tiny@1") < table.index("prod")

    assert run("models", "delete", "org/tiny@2", text="n\n").exit_code != 0
    assert store.resolve("org/tiny").version == 2
    assert run("models", "delete", "org/tiny@2", text="y\n").exit_code == 0
    assert run("models", "alias", "org/tiny", "prod", "--remove").stdout == "Removed org/tiny:prod\n"
    assert json.loads(run("models", "delete", "org/tiny", "--yes", "--json").stdout) == {"deleted": ["org/tiny@1"]}
    assert json.loads(run("models", "list", "--json").stdout) == []


def test_a_model_that_a_job_needs_is_not_deleted(run: Run, store: ModelStore, tiny: Path, tmp_path: Path) -> None:
    run("models", "import", str(tiny), "--name", "tiny")
    with EmbeddedRedis(tmp_path / "var") as server, connect(server.url) as redis:
        jobs = Jobs(redis)
        job = jobs.create(make_spec(redis, model="tiny@1"))
        with pytest.raises(Conflict, match=f"has not ended needs it .*: {job.id}"):
            run("models", "delete", "tiny", "--yes")
        jobs.cancel(job.id)
        assert run("models", "delete", "tiny", "--yes").stdout == "Deleted tiny@1\n"
    run("models", "import", str(tiny), "--name", "tiny")
    assert "unknown whether a job needs the model" in run("models", "delete", "tiny", "--yes").stderr


def test_without_a_server_the_model_is_loaded_here(run: Run, store: ModelStore, tiny: Path) -> None:
    run("models", "import", str(tiny), "--name", "tiny")
    done = run("predict", "The [MASK] chase the [MASK].", "--top-k", "3", "--json")
    assert done.stderr == "No server is running: loading the model here.\n"
    answer = json.loads(done.stdout)
    assert answer["model"] == "tiny@1"
    assert [len(mask["candidates"]) for mask in answer["data"][0]["masks"]] == [3, 3]
    table = run("predict", "The [MASK] chase.", "--top-k", "2").stdout.splitlines()
    assert table[0].split() == ["score", "token", "text"]
    assert len(table) == 3
    targets = ("--target", "the", "--target", "lions", "--renormalize", "--json")
    (mask,) = json.loads(run("predict", "The [MASK] chase.", *targets).stdout)["data"][0]["masks"]
    assert sum(each["score"] for each in mask["candidates"]) == pytest.approx(1)
    together = run("predict", "The [MASK] chase the [MASK].", "--sequences", "4").stdout.splitlines()
    assert together[0].split() == ["log-prob", "pseudo-log-prob", "text"]
    assert len(together) == 5 and not any("[MASK]" in line for line in together)
    sampled = run("predict", "The [MASK:2] chase.", "--decode", "gibbs", "--order", "left-to-right", "--seed", "3")
    assert len(sampled.stdout.splitlines()) == 2
    words = run("predict", "The [MASK] chase.", "--whole-words", "--normalization", "length").stdout.splitlines()
    assert words[0].split() == ["score", "token", "text"] and len(words) == 6

    scored = json.loads(run("score", "The lions chase.", "--json").stdout)["data"][0]
    lines = run("score", "The lions chase.").stdout.splitlines()
    assert lines[0].split() == ["log-likelihood", "perplexity", "text"]
    assert lines[1].split()[0] == f"{scored['log_likelihood']:.4f}"
    assert len(run("score", "The lions chase.", "--top-k", "2").stdout.splitlines()) == len(scored["tokens"]) + 1
    lines = run("score", "a b", "--variants", "a5b", "--offset", "5").stdout.splitlines()
    assert [line.split()[-1] for line in lines] == ["variant", "a5b"]

    embedded = json.loads(run("embed", "one", "two", "--model", "tiny@1", "--json").stdout)
    assert [item["index"] for item in embedded["data"]] == [0, 1]
    size = len(embedded["data"][0]["embedding"])
    assert run("embed", "one").stdout.splitlines()[1].split()[:2] == ["one", str(size)]
    words = run("embed", "one two", "--output", "words", "--type", "int8", "--layer", "1").stdout.splitlines()[1:]
    assert [line.split()[:3] for line in words] == [["one", "0-3", str(size)], ["two", "4-7", str(size)]]
    tokens = run("embed", "one", "--output", "multi_vector").stdout.splitlines()[1:]
    assert len(tokens) > 2 and {tuple(line.split()[:2]) for line in tokens} == {("one", str(size))}

    weights = run("embed", "one", "--output", "sparse").stdout.splitlines()
    assert weights[0].split() == ["weight", "token", "text"] and float(weights[1].split()[0]) > 0

    ranked = json.loads(run("rerank", "one", "two", "-", "--json", "--model", "tiny", text="three\n\none\n").stdout)
    assert ranked["results"][0]["document"] == {"text": "one"} and len(ranked["results"]) == 3
    table = run("rerank", "one", "two", "one", "--top-n", "1", "--method", "multi_vector").stdout.splitlines()
    assert [line.split()[1:] for line in table] == [["index", "document"], ["1", "one"]]


def test_inputs_are_classified_by_a_model_with_a_head(run: Run, store: ModelStore, tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "labelled"
    shutil.copytree(tiny, folder)
    size = json.loads((tiny / "config.json").read_text())["hidden_size"]
    kind = Classifier(labels=("a", "b"), type=ClassifierType.SINGLE_LABEL, activation=Activation.SOFTMAX)
    rows = np.random.default_rng(0).normal(size=(2, size))
    ProbeHead(kind, np.zeros(size), np.ones(size), rows, np.zeros(2)).save(folder / HEAD)
    assert "classify" in run("models", "import", str(folder), "--name", "labelled").stdout
    assert store.resolve("labelled").manifest.classifier == kind

    answer = json.loads(run("classify", "one", "two", "--model", "labelled", "--top-k", "2", "--json").stdout)
    best = [item["scores"][0] for item in answer["data"]]
    table = run("classify", "one", "two", "--model", "labelled").stdout.splitlines()
    assert [line.split() for line in table] == [
        ["score", "label", "input"],
        *([f"{each['score']:.4f}", each["label"], text] for each, text in zip(best, ("one", "two"), strict=True)),
    ]
    picture = tmp_path / "photo.png"
    picture.write_bytes(b"no picture")
    with pytest.raises(AppError, match="embeds text, and the input is a file"):
        run("classify", str(picture), "--model", "labelled")


def test_options_of_fill_mask(run: Run, store: ModelStore, tiny: Path) -> None:
    run("models", "import", str(tiny), "--name", "tiny")
    chosen = ("--words-only", "--ban", "lions", "--pattern", "^l", "--renormalize", "-k", "500")
    drawn = ("--temperature", "0.5", "--sample", "3", "--seed", "7", "--entropy", "--overflow", "windows")
    lines = run("predict", "The [MASK] chase." + " the" * 70, *chosen, *drawn).stdout.splitlines()
    assert lines[0].split("\t") == ["score", "token", "entropy", "text"]
    at = lines.index("score\tsample")
    rows = [line.split("\t") for line in lines[1:at]]
    assert rows and all(token.startswith("l") and token != "lions" for _, token, _, _ in rows)
    assert sum(float(score) for score, *_ in rows) == pytest.approx(1, abs=0.01)
    assert len(lines) == at + 4
    with pytest.raises(AppError, match="`stride` is 60"):
        run("predict", "The [MASK].", "--overflow", "windows", "--stride", "60")


def test_pairs_and_candidates_are_scored(
    run: Run, store: ModelStore, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("models", "import", str(tiny), "--name", "tiny")
    monkeypatch.setattr("app.commands.asking.INPUTS_PER_REQUEST", 2)
    (tmp_path / "pairs.tsv").write_text("good\tbad\nthe lions\tlions the\nthe\tthe\na\tof\n")
    done = run("score", "--pairs", str(tmp_path / "pairs.tsv"))
    first, *rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert first == ["preferred", "good", "bad"] and rows[1][0] == "tie"
    good = [row[0] for row in rows].count("good") / 3
    assert done.stderr.splitlines()[-1] == f"Accuracy: {good:.4f}"
    ranked = run(
        "score",
        "A [MASK].",
        "The [MASK].",
        "--candidate",
        "lions",
        "--candidate",
        "fox",
        "--rank-by",
        "pseudo_perplexity",
    )
    assert [line.split("\t")[-1] for line in ranked.stdout.splitlines()] == [
        "text",
        *["A [MASK]."] * 2,
        *["The [MASK]."] * 2,
    ]
    with pytest.raises(InvalidValue, match="leave the texts out"):
        run("score", "text", "--pairs", "-")
    with pytest.raises(EmptyInput, match="or --pairs"):
        run("score")


def test_a_reader_that_has_read_enough_is_no_failure() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-m", "app.cli", "--help"], stdout=write, stderr=subprocess.PIPE, check=True)
    os.close(write)
    assert done.stderr == b""


def test_texts_come_from_files_and_from_standard_input(
    run: Run, store: ModelStore, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("models", "import", str(tiny), "--name", "tiny")
    monkeypatch.setattr("app.commands.asking.INPUTS_PER_REQUEST", 2)  # so that five inputs take three requests
    (tmp_path / "lines.txt").write_bytes("\ufeffone\r\n\r\ntwo\nthree".encode())
    done = run("embed", str(tmp_path / "lines.txt"), "-", "no file", "--json", text="from stdin\n")
    answer = json.loads(done.stdout)
    assert [item["index"] for item in answer["data"]] == [0, 1, 2, 3, 4]
    alone = json.loads(run("embed", "one", "two", "three", "from stdin", "no file", "--json").stdout)
    assert answer["data"] == alone["data"] and answer["usage"] == alone["usage"]
    assert [line.split()[0] for line in run("embed", "-", text="one\ntwo\n").stdout.splitlines()[1:]] == ["one", "two"]
    with pytest.raises(EmptyInput):
        run("score", "-", text="\n \n")
    (tmp_path / "picture").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidValue, match="is not UTF-8 text"):
        run("predict", str(tmp_path / "picture"))


def test_a_named_server_is_not_replaced(run: Run, store: ModelStore) -> None:
    with pytest.raises(AppError, match=f"no server at {NOBODY}"):
        run("predict", "a [MASK]", "--url", NOBODY)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["jobs", "list"], "cloze: no server at http://127.0.0.1:1; start one with: make serve\n"),
        (["models", "delete", "none"], "cloze: the model 'none' does not exist; the store is empty\n"),
        (["pretrain", "x.txt", "-m", "bert-tiny", "--set", "oops"], "cloze: --set takes KEY=VALUE, not 'oops'\n"),
    ],
)
def test_errors_are_one_line_and_exit_code_1(
    store: ModelStore,
    args: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["cloze", *args])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 1
    assert capsys.readouterr().err == message


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CLOZE_PORT", "http")
    monkeypatch.setattr(sys, "argv", ["cloze", "serve"])
    with pytest.raises(SystemExit):
        cli.main()
    assert capsys.readouterr().err.startswith("cloze: CLOZE_PORT: Input should be a valid integer")


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("max_steps=10", ("max_steps", 10)),
        ("learning_rate=1e-4", ("learning_rate", 0.0001)),
        ("compile=true", ("compile", True)),
        ("schedule=cosine", ("schedule", "cosine")),
        ("teacher=a=b", ("teacher", "a=b")),
        ('name="7"', ("name", "7")),
    ],
)
def test_hyperparameters_are_json_or_words(text: str, parsed: tuple[str, object]) -> None:
    assert parse_setting(text) == parsed


def test_a_hyperparameter_needs_a_name() -> None:
    with pytest.raises(InvalidValue, match="KEY=VALUE"):
        parse_setting("=3")


def entry(*tasks: Task) -> ModelEntry:
    manifest = Manifest(modality=ModalityName.TEXT, architecture="bert", tasks=tasks, parameters=1)
    return ModelEntry("m", 1, Path("m/1"), manifest)


def test_first_steps_fit_the_default_model() -> None:
    assert first_steps("http://h:1", entry(Task.FILL_MASK, Task.EMBED), needs_key=False) == (
        "m@1 is ready. Try:\n"
        "  curl http://h:1/v1/fill-mask -H 'content-type: application/json' "
        """-d '{"input": "Tokyo is the capital of [MASK]."}'"""
    )
    assert "/v1/embeddings -H 'authorization: Bearer KEY'" in first_steps(
        "http://h:1", entry(Task.EMBED), needs_key=True
    )
    assert "cloze pretrain" in first_steps("http://h:1", None, needs_key=False)


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("CLOZE_PORT", "no number", "cloze: CLOZE_PORT: Input should be a valid integer"),
        ("CLOZE_REDIS_URL", "localhost:6379", "cloze: CLOZE_REDIS_URL: Value error, expected redis://HOST:PORT/0"),
        ("CLOZE_VAR_DIR", "/dev/null/var", "cloze: [Errno 20] Not a directory: '/dev/null/var"),
        ("CLOZE_WEBHOOK_URL", "http://x", "cloze: Value error, CLOZE_WEBHOOK_URL requires CLOZE_WEBHOOK_SECRET"),
    ],
)
def test_wrong_settings_are_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str, told: str
) -> None:
    monkeypatch.setenv(variable, value)
    monkeypatch.setattr(sys, "argv", ["cloze", "serve"])
    with pytest.raises(SystemExit, match="1"):
        cli.main()
    error = capsys.readouterr().err
    assert error.startswith(told) and error.count("\n") == 1
