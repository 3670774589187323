"""Checks of the documentation: line lengths, links, settings, requests, and the size of two pages."""

import json
import re
from pathlib import Path

from pydantic import BaseModel

from app.api.schemas.embeddings import EmbeddingsRequest
from app.api.schemas.fill_mask import FillMaskRequest
from app.api.schemas.jobs import JobRequest
from app.api.schemas.reconstruct import ReconstructRequest
from app.api.schemas.score import ScoreRequest
from app.api.schemas.sweeps import SweepRequest
from app.settings import Settings

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "benchmarks/**/*.md", "model_store/*/*/README.md", "app/web/*.md")
    for path in ROOT.glob(pattern)
)
MAX_COLUMNS, MAX_README, MAX_TERMS = 120, 150, 40
COMMAND_LINE_ONLY = {"CLOZE_URL", "CLOZE_API_KEY"}
BODIES: dict[str, type[BaseModel]] = {
    "/v1/embeddings": EmbeddingsRequest,
    "/v1/fill-mask": FillMaskRequest,
    "/v1/pretraining/jobs": JobRequest,
    "/v1/reconstruct": ReconstructRequest,
    "/v1/score": ScoreRequest,
    "/v1/sweeps": SweepRequest,
}


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose(text: str) -> str:
    """The text without front matter, code blocks, inline code, tables and the targets of links."""
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    text = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^\|.*$", "", text, flags=re.MULTILINE)
    return re.sub(r"`[^`]*`|\]\([^)]*\)", "", text)


def anchors(page: Path) -> set[str]:
    """The fragments that the headings of a page can be linked by."""
    titles = re.findall(r"^#+ (.*)$", read(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links(page: Path) -> list[str]:
    """The targets of a page's links within the repository."""
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", read(page)) if not re.match(r"https?:", target)]


def leads(page: Path, target: str) -> bool:
    """Whether the file of a link exists, and has the heading that the link names."""
    path, _, fragment = target.partition("#")
    place = page.parent / path if path else page
    return place.exists() and (not fragment or fragment in anchors(place))


def settings_in(text: str) -> set[str]:
    """The settings that a page names; `CLOZE_DECODER_*` names none."""
    return {found for found in re.findall(r"\bCLOZE_[A-Z_]+", text) if not found.endswith("_")}


def requests(text: str) -> list[tuple[str, str]]:
    """(path, body) of every curl command with a JSON body."""
    code = "\n".join(re.findall(r"^```\w*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))
    return re.findall(r"(/v1/[\w/-]+)['\"]?[^\n]*?(?:\\\n\s*)?-d '(.*?)'", code, re.DOTALL)


def test_lines_are_short() -> None:
    lines = {page: prose(read(page)).splitlines() for page in PAGES}
    assert not {
        name(page): long for page in lines if (long := [line for line in lines[page] if len(line) > MAX_COLUMNS])
    }


def test_links_lead_somewhere() -> None:
    assert not [f"{name(page)}: {target}" for page in PAGES for target in links(page) if not leads(page, target)]


def test_settings_exist() -> None:
    known = {f"CLOZE_{field.upper()}" for field in Settings.model_fields} | COMMAND_LINE_ONLY
    assert not {name(page): unknown for page in PAGES if (unknown := settings_in(read(page)) - known)}


def test_requests_are_valid() -> None:
    found = [request for page in PAGES for request in requests(read(page)) if request[0] in BODIES]
    assert {path for path, _ in found} == set(BODIES)
    for path, body in found:
        BODIES[path].model_validate(json.loads(body.replace("base64,…", "base64,AAAA")))


def test_every_limit_with_a_setting_is_in_the_architecture() -> None:
    limits = [field for field in Settings.model_fields if re.search(r"max_|_bytes$|_timeout$|_seconds$|_days$", field)]
    named = settings_in(read(ROOT / "docs" / "architecture.md"))
    assert not [field for field in limits if f"CLOZE_{field.upper()}" not in named]


def test_the_readme_and_the_glossary_are_short() -> None:
    assert len(read(ROOT / "README.md").splitlines()) <= MAX_README
    terms = re.findall(r"^\| (?!Term|---)", read(ROOT / "docs" / "glossary.md"), re.MULTILINE)
    assert len(terms) <= MAX_TERMS
