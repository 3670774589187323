"""The examples of docs/clients.md with the clients as they are published, on a real server that requires a key.

Each example runs in a process of its own: the libraries are large, and some change global state.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

import httpx
import numpy as np
import pytest

from app.main import create_app
from app.settings import Settings
from app.store.manifest import Manifest
from app.store.store import ModelStore
from app.types import ModalityName, Task
from tests.fakes.server import PATIENCE, serving
from tests.fakes.tiny_models import tiny_bert_folder

DOCS = Path(__file__).parents[2] / "docs" / "clients.md"
CONSTRAINTS = DOCS.parents[1] / "constraints.txt"
PUBLISHED = Path(sys.prefix) / "published"  # packages that ask for older ones than those beside them
ADDRESS = "http://127.0.0.1:8000"
TEXTS = ["The lions hunt.", "It rains."]

SECTIONS = DOCS.read_text(encoding="utf-8").partition("## Examples\n")[2].partition("\n## ")[0].split("\n### ")[1:]
PACKAGES = {
    **{
        name: (name,)
        for name in ("openai", "langchain-openai", "langchain-huggingface", "chromadb", "litellm", "cohere")
    },
    "huggingface_hub": ("huggingface_hub",),
    "ollama": ("ollama",),
    "llama-index": ("llama-index-embeddings-openai-like", "llama-index-embeddings-text-embeddings-inference"),
    "haystack": ("haystack-ai", "huggingface-api-haystack"),
}
QUIET = {
    "ANONYMIZED_TELEMETRY": "False",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "HF_HUB_OFFLINE": "0",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
}


def name_of(section: str) -> str:
    return section.partition("\n")[0]


def examples_of(section: str, language: str = "python") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)


def is_installed(package: str) -> bool:
    return bool(list(distributions(name=package, path=[*sys.path, str(PUBLISHED)])))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("clients")
    store = ModelStore(root / "models")
    manifest = Manifest(
        modality=ModalityName.TEXT, architecture="bert", tasks=(Task.FILL_MASK, Task.EMBED), parameters=1
    )
    store.publish(tiny_bert_folder(root / "bert"), manifest, name="cloze-text")
    settings = Settings(var_dir=root / "var", device="cpu", dtype="float32", threads=1, api_keys=("key",))
    with serving(create_app(settings, store=store)) as address:
        yield address


@pytest.fixture(scope="module")
def expected(url: str) -> np.ndarray:
    answer = httpx.post(f"{url}/v1/embeddings", json={"input": TEXTS}, headers={"authorization": "Bearer key"})
    return np.array([each["embedding"] for each in answer.json()["data"]])


@pytest.mark.parametrize("section", SECTIONS, ids=name_of)
def test_the_vectors_of_each_client(section: str, url: str, expected: np.ndarray) -> None:
    examples = examples_of(section)
    if missing := [each for each in PACKAGES[name_of(section)] if not is_installed(each)]:
        pytest.skip(f"{missing[0]} is not installed")
    show = "\nimport json\nprint(json.dumps([list(map(float, vector)) for vector in vectors]))\n"
    code = "".join(example.replace(ADDRESS, url) + show for example in examples)
    environment = {**os.environ, **QUIET, "PYTHONPATH": str(PUBLISHED)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    for line in done.stdout.splitlines()[-len(examples) :]:
        np.testing.assert_allclose(json.loads(line), expected, atol=1e-5)


def test_the_vectors_of_the_client_for_node(url: str, expected: np.ndarray, tmp_path: Path) -> None:
    node, packages = shutil.which("node"), PUBLISHED / "node_modules"
    if node is None or not (packages / "openai").is_dir():
        pytest.skip("node or npm's package openai is not installed")
    ((example,),) = [found for each in SECTIONS if (found := examples_of(each, "js"))]
    script = tmp_path / "example.mjs"
    script.write_text(f"{example.replace(ADDRESS, url)}\nconsole.log(JSON.stringify(vectors));\n", encoding="utf-8")
    (tmp_path / "node_modules").symlink_to(packages)
    done = subprocess.run([node, script], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    np.testing.assert_allclose(json.loads(done.stdout), expected, atol=1e-5)


def test_the_table_has_the_tested_versions() -> None:
    """The versions that the constraints pin; npm's are not among them."""
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)", CONSTRAINTS.read_text(encoding="utf-8"), re.MULTILINE))
    table = re.findall(r"^\| ([\w-]+)(?: \(Python\))? \| ([\d.]+) \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert {package for package, _ in table} == {package for each in PACKAGES.values() for package in each}
    assert not [(package, version) for package, version in table if pinned[package] != version]
