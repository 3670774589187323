"""Files, from a user's hands: a folder is uploaded, found, and deleted."""

from pathlib import Path

from playwright.sync_api import expect

from tests.fakes.browser import Visit
from tests.fakes.http import http


def test_a_folder_is_uploaded_found_and_deleted_and_a_file_in_use_is_named(
    visit: Visit, origin: str, tmp_path: Path
) -> None:
    folder = tmp_path / "molecules"
    for name in ("a/one.smi", "two.smi", ".hidden"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("c1ccccc1\n")
    content = b"The lions hunt the zebras near the river.\n\n" * 50
    used = http.post(f"{origin}/v1/files", files={"file": ("lions.txt", content)}).raise_for_status().json()["id"]
    body = {"model": "tiny", "training_file": used, "name": "user", "resources": {"memory_gb": 100_000}}
    job = http.post(f"{origin}/v1/pretraining/jobs", json=body).raise_for_status().json()["id"]  # no worker takes it

    page = visit.go("#/files")
    page.locator("input[webkitdirectory]").set_input_files(folder)
    expect(page.get_by_role("status").filter(has_text="molecules.tar contains 2 files")).to_contain_text(
        "1 hidden file"
    )
    rows = page.get_by_role("region", name="Files").locator("tbody tr")
    expect(rows.filter(has_text="molecules.tar")).to_have_count(1)
    row = rows.filter(has_text="lions.txt").filter(has_text=used)
    expect(row.get_by_role("link", name="user")).to_be_visible()
    expect(row.get_by_role("button", name="Delete lions.txt")).to_be_disabled()
    visit.check_accessibility()
    visit.check_width()

    page.get_by_label("Search files").fill("molecules")
    expect(rows).to_have_count(1)
    page.get_by_role("button", name="Delete molecules.tar").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(rows).to_have_count(0)
    http.post(f"{origin}/v1/pretraining/jobs/{job}/cancel").raise_for_status()
