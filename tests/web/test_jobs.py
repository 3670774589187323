"""Jobs, from a user's hands: real files, a real worker, tiny models for a few steps."""

import contextlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from app.store.store import ModelStore
from tests.fakes.browser import Visit, visiting
from tests.fakes.cloze import Server
from tests.fakes.http import http
from tests.fakes.image_data import picture_zip
from tests.fakes.tiny_models import CORPUS

JOBS = "/v1/pretraining/jobs"
TINY_TEXT = {"sequence_length": 32, "batch_tokens": 256, "precision": "float32"}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "corpus.jsonl"
    path.write_text("\n".join(json.dumps({"text": f"{a} {b}"}) for a in CORPUS for b in CORPUS))
    return path


@pytest.fixture(scope="module")
def file_id(origin: str, corpus: Path) -> str:
    return str(http.post(f"{origin}/v1/files", files={"file": corpus.open("rb")}).raise_for_status().json()["id"])


def submit(origin: str, file_id: str, name: str, **fields: object) -> str:
    body = {"model": "tiny", "training_file": file_id, "name": name, "hyperparameters": TINY_TEXT} | fields
    return str(http.post(f"{origin}{JOBS}", json=body).raise_for_status().json()["id"])


def state(page: Page, name: str) -> None:
    expect(page.locator(".view-head .badge")).to_have_text(name)


def choose(page: Page, label: str, value: str) -> None:
    page.get_by_label(label, exact=True).fill(value)


def test_a_text_model_is_trained_watched_and_tried(visit: Visit, corpus: Path) -> None:
    page = visit.go("#/jobs")
    page.get_by_role("link", name="New job").first.click()
    page.get_by_label(re.compile("Drop files here")).set_input_files(corpus)
    expect(page.locator(".upload-list")).to_contain_text("corpus.jsonl")
    page.get_by_label("Begin from").select_option("tiny")
    choose(page, "Name of the result", "learnt")
    choose(page, "Train for", "12")
    page.get_by_label("Unit").select_option("max_steps")
    page.get_by_text("Advanced settings").click()
    page.get_by_text("Data", exact=True).first.click()
    choose(page, "Sequence length", "9000")
    expect(page.get_by_text("At most 8192")).to_be_visible()
    choose(page, "Sequence length", "32")
    page.get_by_text("Optimiser", exact=True).click()
    choose(page, "Batch tokens", "256")
    estimate = page.get_by_role("region", name="Estimate")
    for part in ("documents", "Memory", "Disk", "MB"):
        expect(estimate).to_contain_text(part)
    visit.check_accessibility()
    visit.check_width()
    page.get_by_role("button", name="Start training").click()
    state(page, "Succeeded")
    expect(page.get_by_role("heading", name="learnt")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile(r"^Loss over steps\. Now: Training [\d.]+"))).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("^Held-out accuracy"))).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("^Learning rate"))).to_be_visible()
    expect(page.locator(".note")).to_contain_text(re.compile("^Not learnt yet|^Learnt"))
    visit.check_accessibility()
    visit.check_width()
    page.get_by_role("tab", name="Predictions").click()
    expect(page.get_by_role("list", name="Held-out texts").get_by_role("listitem")).not_to_have_count(0)
    page.get_by_label("Evaluation").fill("0")
    expect(page.get_by_text("Held-out texts at step 0")).to_be_visible()
    visit.check_accessibility()
    visit.check_width()
    page.get_by_role("tab", name="Events").click()
    expect(page.get_by_role("tabpanel")).to_contain_text("Saved a checkpoint at step 12")
    page.get_by_role("tab", name="Log").click()
    expect(page.get_by_label("What the trainer has printed")).to_be_visible()
    page.get_by_role("tab", name="Settings").click()
    expect(page.locator(".settings .changed")).to_contain_text(["max_steps"])
    expect(page.get_by_text("training_tokens")).to_be_visible()
    page.get_by_role("tab", name="Checkpoints").click()
    page.get_by_role("button", name="Publish step 12").click()
    expect(page.get_by_text("Published as learnt@")).to_be_visible()
    page.get_by_role("link", name="Try it").click()
    expect(page).to_have_title("Fill · Cloze")
    examples = page.get_by_role("group", name="Examples").get_by_role("button")
    expect(examples.filter(has_text="Savanna")).to_have_count(0)  # the model's own held-out texts instead
    expect(page.get_by_label("Text", exact=True)).to_have_value(re.compile(r"\[MASK\]"))
    # The job's own version; the checkpoint has become the next one, which the list names once it has heard of it.
    expect(page.get_by_label("Model", exact=True)).to_have_value(re.compile("^learnt(@1)?$"))


def test_pictures_show_what_a_model_of_images_learns(visit: Visit, cloze: Server, tmp_path: Path) -> None:
    page = visit.go("#/jobs/new?modality=image")
    page.get_by_label(re.compile("Drop files here")).set_input_files(picture_zip(tmp_path / "pictures.zip", 16))
    choose(page, "Name of the result", "seen")
    choose(page, "Train for", "4")
    page.get_by_label("Unit").select_option("max_steps")
    page.get_by_text("Advanced settings").click()
    for group in ("Architecture", "Optimiser", "Evaluation and checkpoints"):
        page.get_by_text(group, exact=True).click()
    visit.expected.append("422")
    choose(page, "Image size", "30")
    expect(page.get_by_text("images of 30 pixels cannot be cut into patches of 8")).to_be_visible()  # the server's word
    expect(page.get_by_role("button", name="Start training")).to_be_disabled()
    choose(page, "Image size", "16")
    choose(page, "Decoder layers", "1")
    choose(page, "Batch size", "8")
    choose(page, "Eval interval", "2")
    expect(page.get_by_role("region", name="Estimate")).to_contain_text("16 pictures")
    page.get_by_role("button", name="Start training").click()
    state(page, "Succeeded")
    expect(page.get_by_role("img", name=re.compile("^Held-out PSNR"))).to_be_visible()
    page.get_by_role("tab", name="Pictures").click()
    expect(page.get_by_alt_text(re.compile("Held-out items at step 4"))).to_be_visible()
    page.get_by_label("Evaluation").fill("0")
    expect(page.get_by_alt_text(re.compile("Held-out items at step 0"))).to_be_visible()
    visit.check_accessibility()
    visit.check_width()
    page.get_by_role("link", name="Try it").click()
    page.get_by_role("button", name="Example: Leopard").click()
    expect(page.get_by_text("by seen@1")).to_be_visible()
    ModelStore(cloze.store).delete("seen")  # or the tests of other views find it as the first model of images


def test_a_job_is_paused_resumed_and_cancelled_from_its_page(visit: Visit, origin: str, file_id: str) -> None:
    job_id = submit(origin, file_id, "long", hyperparameters={**TINY_TEXT, "max_steps": 100_000, "eval_interval": 50})
    page = visit.go(f"#/jobs/{job_id}")
    expect(page.get_by_text(re.compile(r"Step \d+ of 100,000"))).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    state(page, "Paused")
    visit.check_accessibility()
    page.get_by_role("button", name="Resume").click()
    state(page, "Running")
    page.get_by_role("link", name="All jobs").click()
    row = page.get_by_role("row").filter(has_text="long")
    expect(row).to_contain_text("Running")
    step = row.get_by_text(re.compile(r"Step \d+")).inner_text()
    expect(row.get_by_text(step)).to_have_count(0)  # the list moves by itself
    row.get_by_role("link").click()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel and publish").click()
    state(page, "Cancelled")
    expect(page.get_by_role("button", name="Retry")).to_be_visible()
    page.get_by_role("button", name="Delete this job").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_text("The job is deleted")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="long")).to_have_count(0)


def test_a_failed_job_says_why_and_what_to_do(visit: Visit, origin: str, file_id: str) -> None:
    job_id = submit(origin, file_id, "late", max_wall_minutes=0.0001)
    page = visit.go(f"#/jobs/{job_id}")
    state(page, "Failed")
    expect(page.get_by_role("alert")).to_contain_text("deadline_exceeded")
    expect(page.get_by_role("alert")).to_contain_text("Retry it with more")
    visit.check_accessibility()
    page.get_by_role("button", name="Retry").click()
    page.get_by_label("Minutes from now on").fill("30")
    page.get_by_role("dialog").get_by_role("button", name="Retry").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel the job").click()
    state(page, "Cancelled")
    page.get_by_role("link", name="New like this").click()
    expect(page.locator(".upload-list")).to_contain_text("corpus.jsonl")
    page.get_by_text("Advanced settings").click()
    page.get_by_text(re.compile("^Data")).first.click()
    expect(page.get_by_label("Sequence length")).to_have_value("32")


def test_a_job_like_another_keeps_all_that_it_was_asked_for(visit: Visit, origin: str, tmp_path: Path) -> None:
    ids = []
    for name in ("first", "second", "valid"):
        (tmp_path / f"{name}.txt").write_text("\n\n".join(f"{name}: {line}" for line in CORPUS))
        sent = http.post(f"{origin}/v1/files", files={"file": (tmp_path / f"{name}.txt").open("rb")})
        ids.append(sent.raise_for_status().json()["id"])
    asked = {
        "training_files": [{"id": ids[0], "weight": 2.0}, ids[1]],
        "validation_file": ids[2],
        "hyperparameters": {**TINY_TEXT, "max_steps": 50_000, "max_minutes": 30},
    }
    kept = {"priority": 5, "resources": {"device": "cpu", "threads": 1}, "metadata": {"team": "savanna"}}
    body = {"model": "tiny", "name": "blend", **asked, **kept}
    job_id = http.post(f"{origin}{JOBS}", json=body).raise_for_status().json()["id"]
    http.post(f"{origin}{JOBS}/{job_id}/cancel").raise_for_status()

    with visit.page.expect_request(f"**{JOBS}/validate") as request:
        page = visit.go(f"#/jobs/new?like={job_id}")
    sent = request.value.post_data_json
    assert sent["training_files"] == asked["training_files"]
    assert sent["validation_file"] == asked["validation_file"]
    given = sent["method"]["mlm"]["hyperparameters"]
    assert (given["max_steps"], given["max_minutes"]) == (50_000, 30)
    assert sent["priority"] == 5
    assert sent["resources"] == {"device": "cpu", "memory_gb": None, "threads": 1, "nodes": None, "gpus": None}
    assert sent["metadata"] == {"team": "savanna"}

    expect(page.get_by_text("Only where there is: device cpu, threads 1")).to_be_visible()
    with page.expect_request(lambda it: it.url.endswith("/validate") and "priority" not in it.post_data_json):
        page.get_by_role("button", name="Leave out priority").click()
    expect(page.locator(".upload-list")).to_contain_text("weight 2")
    expect(page.get_by_text("Held out: valid.txt")).to_be_visible()
    visit.check_accessibility()
    visit.check_width()
    with page.expect_request(lambda it: it.url.endswith("/validate") and "validation_file" not in it.post_data_json):
        page.get_by_role("button", name="Leave out valid.txt").click()
    page.get_by_role("button", name=re.compile("Leave out the limit of")).click()
    expect(page.get_by_text(re.compile("^At most .*, too$"))).to_have_count(0)


def test_leaving_the_form_ends_what_it_was_sending(visit: Visit, corpus: Path) -> None:
    page = visit.go("#/jobs/new")

    def is_upload(request: Request) -> bool:
        return request.method == "POST" and request.url.endswith("/v1/files")

    page.route("**/v1/files", lambda route: None if is_upload(route.request) else route.continue_())  # never answered
    with page.expect_request(is_upload):
        page.get_by_label(re.compile("Drop files here")).set_input_files(corpus)
    with page.expect_event("requestfailed", is_upload):
        page.get_by_role("link", name="Models").first.click()


def test_a_job_that_cannot_be_shown_at_first_is_asked_for_again(visit: Visit, origin: str, file_id: str) -> None:
    job_id = submit(origin, file_id, "shy", max_wall_minutes=0.0001)
    away = {"error": {"message": "Redis is away", "code": "not_ready", "param": None, "type": "server_error"}}
    visit.expected += ["503"]
    path = f"**{JOBS}/{job_id}"
    visit.page.route(path, lambda route: route.fulfill(status=503, headers={"x-request-id": "r"}, json=away))
    page = visit.go(f"#/jobs/{job_id}")
    expect(page.get_by_role("alert")).to_contain_text("Redis is away")
    page.unroute(path)
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="shy")).to_be_visible()
    expect(page.get_by_text("Redis is away")).to_have_count(0)


def test_runs_are_compared_and_trained_longer(visit: Visit, origin: str, file_id: str) -> None:
    for name, rate in (("slow", 1e-4), ("fast", 1e-3)):
        limits = {"max_steps": 4, "eval_interval": 2, "log_interval": 1, "learning_rate": rate}
        submit(origin, file_id, name, hyperparameters=TINY_TEXT | limits)
    page = visit.go("#/jobs")
    for name in ("slow", "fast"):
        expect(page.get_by_role("row").filter(has_text=f"{name}@1")).to_contain_text("Succeeded")
        page.get_by_label(f"Compare {name}").check()
    visit.check_accessibility()
    visit.check_width()
    page.get_by_role("button", name="Compare 2").click()
    expect(page.get_by_role("img", name="eval_loss of 2 runs")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("learning_rate"))).to_contain_text("0.001")
    page.get_by_label("Figure").select_option("train_loss")
    page.get_by_text("Minutes").click()
    expect(page).to_have_url(re.compile("metric=train_loss.*across=time"))
    visit.check_accessibility()
    visit.check_width()
    page.get_by_role("link", name="fast").click()
    page.get_by_role("button", name="Train longer").click()
    page.get_by_label("Up to").fill("6")
    page.get_by_role("dialog").get_by_role("button", name="Train longer").click()
    state(page, "Succeeded")
    expect(page.get_by_text("fast@2")).to_be_visible()


def test_jobs_are_listed_with_their_figures_found_and_told_apart(visit: Visit, origin: str, file_id: str) -> None:
    limits = TINY_TEXT | {"max_steps": 4, "eval_interval": 2, "log_interval": 1}
    ids = [submit(origin, file_id, "twin", hyperparameters=limits, metadata={"try": nth}) for nth in ("one", "two")]
    page = visit.go("#/jobs?q=twin")
    rows = page.get_by_role("region", name="Jobs").locator("tbody tr")
    expect(rows).to_have_count(2)
    for job_id, nth in zip(ids, ("one", "two"), strict=True):
        row = rows.filter(has_text=f"twin ({job_id[-6:]})")
        expect(row).to_contain_text("Succeeded")
        expect(row).to_contain_text(re.compile(r"\d%\s*accuracy"))
        expect(row.get_by_role("img", name=re.compile("^Held-out loss: from"))).to_be_visible()
        expect(row).to_contain_text(f"try={nth}")
        metrics = http.get(f"{origin}{JOBS}/{job_id}/metrics?keys=eval_accuracy").json()["data"][0]["points"]
        best = max(point["value"] for point in metrics)
        expect(row.locator(".job-score")).to_contain_text(f"{best * 100:.1f}%")
        tokens = http.get(f"{origin}{JOBS}/{job_id}").json()["progress"]["tokens"]
        assert tokens and str(tokens)[0] in row.locator("td.number").inner_text()
    visit.check_accessibility()
    visit.check_width()
    page.get_by_role("button", name="Show jobs with try=two").click()
    expect(rows).to_have_count(1)
    expect(page).to_have_url(re.compile(r"q=twin\+try%3Dtwo"))
    page.reload()
    expect(rows).to_have_count(1)
    page.get_by_label("Search jobs").fill("mlm twin failed")
    expect(rows).to_have_count(0)
    expect(page.get_by_text(re.compile("^0 of"))).to_be_visible()


def test_the_page_goes_on_by_itself_after_the_server_was_away(browser: Browser, origin: str, file_id: str) -> None:
    limits = {"max_steps": 100_000, "log_interval": 1, "eval_interval": 1000}
    job_id = submit(origin, file_id, "watched", hyperparameters=TINY_TEXT | limits)
    with relay(origin) as link, visiting(browser, link.origin) as visit:
        visit.expected += ["ERR_", "Failed to fetch"]
        page = visit.go(f"#/jobs/{job_id}")
        steps = page.get_by_text(re.compile(r"Step \d+ of 100,000"))
        expect(steps).to_be_visible()
        link.cut()
        expect(page.get_by_text("The server does not answer")).to_be_visible()
        seen = steps.inner_text()
        link.mend()
        expect(page.get_by_text("The server does not answer")).to_have_count(0)
        expect(page.get_by_text(seen)).to_have_count(0)
    http.post(f"{origin}{JOBS}/{job_id}/cancel").raise_for_status()


class Relay:
    """A TCP relay to the server, which can be cut as a restart cuts everything."""

    def __init__(self, target: str) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname, parts.port)
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = self._listener.getsockname()
        self.origin = f"http://127.0.0.1:{self.address[1]}"
        self._serve()

    def cut(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self._listener = socket.create_server(self.address)
        self._serve()

    def _serve(self) -> None:
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:  # closed
                return
            server = socket.create_connection(self._target)
            self._open |= {client, server}
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)
        self._open.discard(source)


@contextlib.contextmanager
def relay(target: str) -> Iterator[Relay]:
    started = Relay(target)
    try:
        yield started
    finally:
        started.cut()
