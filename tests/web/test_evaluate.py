"""The view of evaluations, with a real worker."""

import re
from pathlib import Path

from playwright.sync_api import expect

from tests.fakes.browser import Visit
from tests.fakes.tiny_models import CORPUS

JOB = 150_000  # ms: its process imports scikit-learn, torch and matplotlib, on a busy machine


def test_a_table_is_evaluated_and_its_curve_shown(visit: Visit, tmp_path: Path) -> None:
    # Every seventh label is wrong, so that there are mistakes.
    rows = "".join(f'"{CORPUS[n % 8]} ({n})",{"odd" if n % 2 != (n % 7 == 0) else "even"}\n' for n in range(40))
    file = tmp_path / "topics.csv"
    file.write_text(f"text,topic\n{rows}")
    visit.expected += ["status of 422"]  # a column that is not there
    page = visit.go("#/evaluate")
    form = page.get_by_role("form", name="New evaluation")
    form.locator("input[type=file]").set_input_files(file)
    expect(form.get_by_text("topics.csv")).to_be_visible()
    form.get_by_text("Labels, seeds and methods").click()
    form.get_by_label("Labels per class").fill("1, 5, all")
    form.get_by_role("spinbutton", name="Seeds").fill("2")
    button = form.get_by_role("button", name="Evaluate")
    expect(button).to_be_enabled()
    button.click()
    expect(form.get_by_role("alert")).to_contain_text("no column 'label'")
    form.get_by_label("Label column").fill("topic")
    form.get_by_label("Publish a classifier as").fill("web-topics")
    button.click()
    expect(page.get_by_role("heading", name="topics")).to_be_visible()
    expect(page.locator(".view-head .badge")).to_have_text("Succeeded", timeout=JOB)
    expect(page.locator(".evaluation-summary")).to_contain_text("tiny@1 reaches an accuracy of")
    row = page.get_by_role("row", name=re.compile("^tiny@1, linear probe"))
    expect(row.get_by_role("cell")).to_have_text([re.compile(r"[01]\.\d{3} ± \d\.\d{3}")] * 3)
    plot = page.get_by_role("img", name="accuracy by labels per class")
    plot.hover(position={"x": 60, "y": 60})
    expect(page.get_by_text("With 1 label per class:")).to_be_visible()
    mistakes = page.get_by_role("region", name="Mistakes of tiny@1")
    expect(mistakes.get_by_role("row", name=re.compile("^odd"))).to_have_count(1)
    mistakes.get_by_text("with a wrong prediction").click()
    expect(mistakes.get_by_text(re.compile(r"topics.csv, line \d+")).first).to_be_visible()
    drawn = page.get_by_role("region", name="Map of the vectors")
    plane = drawn.get_by_role("application", name="40 points on a plane")
    plane.focus()
    plane.press("ArrowRight")
    plane.press("Enter")
    expect(drawn.get_by_text(re.compile(r"topics.csv, line \d+"))).to_be_visible()
    expect(drawn.get_by_role("list", name="Colours").get_by_role("listitem")).to_have_count(2)
    for name in ("report.csv", "curve.png"):
        expect(page.get_by_role("button", name=name)).to_be_visible()
    visit.check_accessibility()
    visit.check_width()
    page.get_by_role("link", name="Evaluations").click()
    expect(page.get_by_role("list").get_by_role("link", name="topics").first).to_be_visible()
    page.get_by_role("list").get_by_role("link", name="topics").first.click()
    page.get_by_role("link", name="Try it").click()
    expect(page).to_have_title("Classify · Cloze")
    expect(page.get_by_label("Model", exact=True)).to_have_value(re.compile("^web-topics"))
    page.get_by_label("Texts, one a line").fill(f"{CORPUS[0]} (1)\n{CORPUS[1]} (2)")
    found = page.get_by_role("region", name=f"Labels of {CORPUS[1]} (2)").get_by_role("listitem")
    expect(found).to_have_text([re.compile(r"(odd|even)\s*\d+\.\d+ %")] * 2)
    expect(page.get_by_text("2 labels: even, odd")).to_be_visible()
    visit.check_accessibility()
    visit.check_width()


def test_methods_without_training_labels_have_their_own_columns(visit: Visit, tmp_path: Path) -> None:
    file = tmp_path / "agreement.csv"
    file.write_text("good,wrong,term\n" + "".join(f"{text},{text[::-1]},{n % 2}\n" for n, text in enumerate(CORPUS)))
    page = visit.go("#/evaluate")
    form = page.get_by_role("form", name="New evaluation")
    form.get_by_label("Measure").select_option("Masked accuracy")
    expect(form.get_by_label("Second text column")).to_have_count(0)
    form.get_by_label("Measure").select_option("Minimal pairs")
    form.locator("input[type=file]").set_input_files(file)
    expect(form.get_by_label("Text column", exact=True)).to_have_value("good")
    form.get_by_label("Second text column").fill("wrong")
    form.get_by_label("Group column").fill("term")
    expect(form.get_by_label("Publish a classifier as")).to_have_count(0)
    visit.check_accessibility()
    visit.check_width()
    form.get_by_role("button", name="Evaluate").click()
    expect(page.get_by_role("heading", name="agreement")).to_be_visible()
    expect(page.locator(".view-head .badge")).to_have_text("Succeeded", timeout=JOB)
    expect(page.locator(".evaluation-summary")).to_contain_text("tiny@1 prefers the good text in")
    visit.go("#/jobs/new")
    repeated = page.get_by_label("Evaluate on labelled items")
    repeated.select_option("agreement (tiny@1)")
    expect(repeated).not_to_have_value("")
