"""Writes the list in docs/models.md of the architectures whose tiny models have an ONNX export that is proved equal.

Takes about ten minutes.
"""

import re
import tempfile
import textwrap
from pathlib import Path

from app.errors import InvalidModel
from app.modalities.text import TEXT
from scripts.model_table import PAGE
from tests.conformance.text_types import TYPES, build_folder

BEGIN, END = "<!-- onnx -->", "<!-- end of onnx -->"

REASONS = {
    "big_bird": "Its attention is sparse for long texts and full for short ones; a graph has one of them.",
    "flaubert": "The graph gives other results than transformers.",
    "funnel": "The exporter makes the length of a text a constant.",
    "longformer": "The exporter cannot trace its windows for texts of any length.",
    "mbart": "onnxruntime cannot run the graph.",
    "reformer": "The exporter makes the length of a text a constant.",
    "xlm": "The graph gives other results than transformers.",
}


def main() -> None:
    exported, refused = [], ["| Architecture | Why it has no export |", "| --- | --- |"]
    for model_type in TYPES:
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as target:
            try:
                export = TEXT.export_onnx(build_folder(Path(folder), model_type), Path(target), None)
                exported.append(model_type)
                print(f"{model_type}: largest difference {export.largest_difference:.2g}", flush=True)
            except InvalidModel as error:
                refused.append(f"| `{model_type}` | {REASONS.get(model_type, error.message)} |")
                print(f"{model_type}: {error.message}", flush=True)
    names = ", ".join(f"`{each}`" for each in exported)
    summary = textwrap.wrap(f"Exported ({len(exported)} of {len(TYPES)}): {names}.", 98, break_on_hyphens=False)
    block = "\n".join([BEGIN, *summary, "", *refused, END])
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: block, text, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    main()
