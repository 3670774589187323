"""The view of sweeps, with a real worker."""

import re
from pathlib import Path

from playwright.sync_api import expect

from tests.fakes.browser import Visit
from tests.fakes.tiny_models import CORPUS


def test_a_sweep_ranks_its_jobs_and_publishes_the_best(visit: Visit, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("\n\n".join(f"{a} {b}" for a in CORPUS for b in CORPUS))
    page = visit.go("#/jobs/new?search=1")
    page.get_by_label(re.compile("Drop files here")).set_input_files(corpus)
    page.get_by_label("Begin from").select_option("tiny")
    page.get_by_label("Name of the result", exact=True).fill("swept")
    page.get_by_label("Train for", exact=True).fill("4")
    page.get_by_label("Unit").select_option("max_steps")
    values = page.get_by_label("Values to try", exact=True)
    values.fill("learning_rate")
    expect(page.get_by_text('"learning_rate" is not NAME = VALUES.')).to_be_visible()
    values.fill("learning_rate = 1e-6, 1e-3\nsequence_length = 32\nbatch_tokens = 256")
    visit.check_accessibility()
    visit.check_width()
    page.get_by_role("button", name="Start sweep").click()
    expect(page.locator(".view-head .badge")).to_have_text("Succeeded")
    rows = page.get_by_role("region", name="Ranking").locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text(re.compile("1.*swept-2.*0.001"))
    expect(page.get_by_role("img", name=re.compile("^2 jobs over learning_rate"))).to_be_visible()
    expect(page.locator(".lead")).to_contain_text("published swept@1")
    visit.check_accessibility()
    visit.check_width()
    page.get_by_role("link", name="swept-2").click()
    expect(page.get_by_role("link", name="a sweep")).to_be_visible()
    with page.expect_download() as found:
        page.get_by_role("button", name="Download as CSV").click()
    assert found.value.path().read_text().startswith("step,time,")
    page.get_by_role("link", name="a sweep").click()
    page.get_by_role("link", name="All sweeps").click()
    listed = page.get_by_role("region", name="Sweeps").get_by_role("row")  # the page that is left has rows, too
    expect(listed.filter(has_text="swept")).to_contain_text("2 of 2")
    visit.check_accessibility()
    visit.check_width()
