"""ONNX graphs give what transformers gives; what cannot be exported right is refused, and leaves nothing behind."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer
from typer.testing import CliRunner

from app import cli
from app.errors import InvalidModel, InvalidValue, TaskNotSupported
from app.modalities.embedding import EmbedItem
from app.modalities.text.load import load_text
from app.store.manifest import Manifest
from app.store.store import ModelStore
from app.types import ModalityName, Task
from tests.conformance import text_types
from tests.fakes.perform import perform
from tests.fakes.tiny_models import tiny_text_folder

TEXTS = ["The capital of France is [MASK].", "Water", "A quick brown fox jumps over the lazy dog, again and again!"]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which commands run, with a store beside the models."""
    monkeypatch.setenv("CLOZE_MODEL_STORE", str(tmp_path / "store"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def publish(folder: Path, name: str, modality: str = ModalityName.TEXT) -> None:
    manifest = Manifest(modality=modality, architecture=name, tasks=(Task.EMBED,), parameters=1)
    ModelStore(folder.parent / "store").publish(folder, manifest, name=name)


def export(*arguments: str) -> str:
    """Runs the command and returns its messages."""
    command = ["models", "export", *arguments, "--onnx"]
    return CliRunner().invoke(cli.app, command, catch_exceptions=False).stderr


def run(target: Path, texts: list[str]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The outputs of an exported graph by name, and the attention mask, with the tokenizer beside it."""
    tokenizer = AutoTokenizer.from_pretrained(target)
    session = onnxruntime.InferenceSession(target / "onnx" / "model.onnx", providers=["CPUExecutionProvider"])
    given = tokenizer(texts, padding=True, return_tensors="np")
    names = [each.name for each in session.get_inputs()]
    outputs = [each.name for each in session.get_outputs()]
    found = session.run(outputs, {name: given[name].astype(np.int64) for name in names})
    return dict(zip(outputs, found, strict=True)), given["attention_mask"]


def test_a_masked_language_model(work: Path) -> None:
    folder = tiny_text_folder(work.parent / "model", "bert")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n\n# A model\n", encoding="utf-8")
    publish(folder, "bert")
    messages = export("bert", "out")
    assert "Exported bert@1 to out: fill-mask, from input_ids, attention_mask, token_type_ids to logits" in messages

    model, tokenizer = AutoModelForMaskedLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    for texts in (TEXTS, TEXTS[1:2]):
        found, kept = run(work / "out", texts)
        for text, logits, mask in zip(texts, found["logits"], kept, strict=True):
            with torch.inference_mode():
                expected = model(**tokenizer(text, return_tensors="pt")).logits[0]
            np.testing.assert_allclose(logits[mask == 1], expected, atol=1e-4)

    files = {path.relative_to("out").as_posix() for path in Path("out").rglob("*") if path.is_file()}
    assert files >= {"config.json", "tokenizer.json", "tokenizer_config.json", "onnx/model.onnx"}
    assert not any(name.endswith(("manifest.json", ".safetensors")) for name in files)
    card = Path("out/README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlicense: mit\n---\n\n# A model\n\n## ONNX\n")
    difference = messages.split()[-1]
    assert 0 <= float(difference) < 1e-4
    assert f"Largest difference from transformers at its export: {difference}\n" in card

    with pytest.raises(InvalidValue, match="out exists already"):
        export("bert", "out")
    assert [path.name for path in work.iterdir()] == ["out"]


def test_an_encoder_embeds_as_cloze_does(work: Path) -> None:
    folder = tiny_text_folder(work.parent / "model", "distilbert", head=False)
    publish(folder, "org/encoder")
    assert "to last_hidden_state, sentence_embedding" in export("org/encoder")
    expected = perform(load_text(folder).tasks[Task.EMBED], [EmbedItem(text) for text in TEXTS])
    found, _ = run(work / "org-encoder-1-onnx", TEXTS)
    np.testing.assert_allclose(found["sentence_embedding"], [each.vector for each in expected], atol=1e-5)


def test_refusals_leave_nothing_behind(work: Path) -> None:
    publish(text_types.build_folder(work.parent / "longformer", "longformer"), "longformer")
    publish(tiny_text_folder(work.parent / "encoder", "bert", head=False), "encoder")
    publish(work.parent / "encoder", "image", ModalityName.IMAGE)
    with pytest.raises(InvalidModel, match="'longformer' cannot be exported to ONNX: Could not guard"):
        export("longformer", "out")
    with pytest.raises(InvalidValue, match="models of image have no ONNX export"):
        export("image", "out")
    with pytest.raises(InvalidValue, match="for fill-mask or embeddings, not for score"):
        export("encoder", "out", "--task", "score")
    with pytest.raises(TaskNotSupported, match="for fill-mask: it supports embeddings"):
        export("encoder", "out", "--task", "fill-mask")
    assert not list(work.iterdir())
