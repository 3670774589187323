"""Writes the table of architectures in docs/models.md from what tiny models of each are proved to do."""

import re
import tempfile
import warnings
from pathlib import Path

from app.modalities.text.load import load_text
from tests.conformance.text_types import TYPES, UNTRAINED, build_folder

PAGE = Path(__file__).parents[1] / "docs" / "models.md"
BEGIN, END = "<!-- types -->", "<!-- end of types -->"

NOTES = {
    "bart": "Encoder and decoder; the decoder's output is embedded.",
    "mbart": "As bart.",
    "mvp": "As bart.",
    "big_bird": "Block-sparse attention for long texts, full attention for short ones, as in transformers.",
    "esm": "ESM-2 and ESM-1b, with `token_dropout`.",
    "layoutlm": "Text only, without boxes.",
    "luke": "Text only, without entities.",
    "reformer": "Training needs texts that fill its axial positions.",
    "roc_bert": "Without pronunciations and shapes.",
    "tapas": "Text only, without tables.",
    "xmod": "The default language's adapters.",
}


def main() -> None:
    rows = ["| Architecture | Tasks | Batches | Trains | Notes |", "| --- | --- | --- | --- | --- |"]
    for model_type in TYPES:
        with tempfile.TemporaryDirectory() as folder:
            served = load_text(build_folder(Path(folder), model_type))
        tasks = ", ".join(served.tasks)
        trains = "no" if model_type in UNTRAINED else "yes"
        rows.append(f"| `{model_type}` | {tasks} | {served.forward_path} | {trains} | {NOTES.get(model_type, '')} |")
    text = PAGE.read_text(encoding="utf-8")
    table = "\n".join([BEGIN, *rows, END])
    PAGE.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: table, text, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
