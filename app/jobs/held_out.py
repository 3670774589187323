"""Held-out texts of a job, as examples for the model that it has trained."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from app.jobs.artifacts import JobArtifacts

MASK = "[MASK]"  # requests accept it for every model
_KEPT = 2  # masks of an example
_CONTINUES = "##"  # how WordPiece marks a token that continues a word
_ID = re.compile(r"[a-z]+-[0-9a-z]+")  # an imported manifest may name anything


class HeldOutText(BaseModel):
    """A text that the model was not trained on."""

    text: str = Field(description="The whole text")
    masked: str = Field(description="The text with one or two masks")


def read_held_out(jobs_dir: Path, job_id: str | None) -> list[HeldOutText]:
    """Returns the texts of the job's last evaluation; none if the job is not here or has trained on other data."""
    if job_id is None or not _ID.fullmatch(job_id):
        return []
    artifacts = JobArtifacts(jobs_dir, job_id)
    names = [each.name for each in artifacts.list() if each.name.endswith(".json")]
    if not names:
        return []
    content = json.loads(artifacts.path(names[-1]).read_bytes())
    return [_restore(item, content["mask_token"]) for item in content["items"]]


def _restore(item: dict[str, Any], mask_token: str) -> HeldOutText:
    """item: as `show_predictions` of text models writes it."""
    parts = item["text"].split(mask_token)
    truths = [mask["truth"] for mask in item["masks"]][: len(parts) - 1]
    whole = [at for at, truth in enumerate(truths) if truth.strip() and not truth.startswith(_CONTINUES)]
    kept = set((whole or range(len(truths)))[:_KEPT])
    return HeldOutText(
        text=_join(parts, truths),
        masked=_join(parts, [MASK if at in kept else truth for at, truth in enumerate(truths)]),
    )


def _join(parts: Sequence[str], fillings: Sequence[str]) -> str:
    text = parts[0]
    for filling, part in zip(fillings, parts[1:], strict=False):
        text = text.rstrip() + filling.removeprefix(_CONTINUES) if filling.startswith(_CONTINUES) else text + filling
        text += part
    return text
