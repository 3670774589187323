"""The card of an exported folder: that of the model, and what its graph is and was proved to do."""

from pathlib import Path

from app.modalities.onnx_export import OnnxExport
from app.modalities.text.forward import Batching
from app.modalities.text.objective import TextObjective
from app.modalities.text.onnx_graph import OPSET

CARD = "README.md"

_SHAPES = {
    "logits": "one number for each entry of the vocabulary, [batch, sequence, vocabulary]",
    "last_hidden_state": "a vector for each token, [batch, sequence, dimensions]",
    "sentence_embedding": "a vector for each text, pooled as sentence-transformers does, [batch, dimensions]",
}


def write_card(target: Path, folder: Path, served: TextObjective, export: OnnxExport) -> None:
    """Writes the card of the model in `folder` with a section about its graph into the folder `target`."""
    source = folder / CARD
    card = source.read_text(encoding="utf-8", errors="replace").rstrip() + "\n\n" if source.is_file() else ""
    (target / CARD).write_text(card + _section(served, export), encoding="utf-8")


def _section(served: TextObjective, export: OnnxExport) -> str:
    equal = served.path.batching is Batching.EQUAL_LENGTHS
    lines = [
        "## ONNX",
        "",
        f"`onnx/model.onnx` computes {export.task} in float32, in opset {OPSET}. Batch and sequence may have any size.",
        "",
        f"- Inputs, int64 [batch, sequence]: {', '.join(f'`{name}`' for name in export.inputs)}",
        *(f"- Output `{name}`: {_SHAPES[name]}" for name in export.outputs),
        f"- Longest input: {served.max_length:,} tokens",
        f"- Batches: {_EQUAL if equal else _PADDED}",
        f"- Largest difference from transformers at its export: {export.largest_difference:.2g}",
        "",
    ]
    return "\n".join(lines)


_PADDED = "texts of different lengths are padded at their ends, with 0 in `attention_mask`"
_EQUAL = "texts of one length only, since padding changes what this architecture computes"
