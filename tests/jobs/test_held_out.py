"""Held-out texts of a job's last evaluation, restored to texts with few masks."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.jobs.artifacts import JobArtifacts
from app.jobs.held_out import read_held_out


def save(folder: Path, step: int, mask_token: str, *items: tuple[str, list[str]]) -> None:
    content: dict[str, Any] = {
        "mask_token": mask_token,
        "items": [{"text": text, "masks": [{"truth": truth} for truth in truths]} for text, truths in items],
    }
    JobArtifacts(folder, "ftjob-1").save(f"step-{step:09}.json", json.dumps(content).encode())


def test_texts_of_the_last_evaluation_are_restored(tmp_path: Path) -> None:
    save(tmp_path, 0, "<mask>", ("old <mask>", ["one"]))
    save(
        tmp_path,
        10,
        "<mask>",
        ("MK<mask>LL<mask>A<mask>", ["V", "G", "S"]),
        ("The lion <mask> hunt <mask>.", ["##s", "zebras"]),
        ("nothing is hidden", []),
        ("cut <mask> off <mask>", ["words"]),
    )
    found = [(each.text, each.masked) for each in read_held_out(tmp_path, "ftjob-1")]
    assert found == [
        ("MKVLLGAS", "MK[MASK]LL[MASK]AS"),
        ("The lions hunt zebras.", "The lions hunt [MASK]."),
        ("nothing is hidden", "nothing is hidden"),
        ("cut words off ", "cut [MASK] off "),
    ]


@pytest.mark.parametrize("job_id", [None, "ftjob-2", "../ftjob-1", "ftjob-1/../ftjob-1", ""])
def test_a_model_without_a_job_of_this_server_has_none(tmp_path: Path, job_id: str | None) -> None:
    save(tmp_path, 10, "[MASK]", ("The [MASK]", ["lion"]))
    assert read_held_out(tmp_path, job_id) == []


def test_pictures_are_no_texts(tmp_path: Path) -> None:
    JobArtifacts(tmp_path, "ftjob-1").save("step-000000010.png", b"")
    assert read_held_out(tmp_path, "ftjob-1") == []
