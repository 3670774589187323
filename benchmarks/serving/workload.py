"""Workloads: real sentences by length, one or 32 a request, for embedding and for filling masks."""

import json
import lzma
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

FIXTURE = Path(__file__).parent / "wikipedia.jsonl"
LENGTHS = {"short": (8, 32), "mixed": (8, 256), "long": (160, 250)}  # tokens, special ones included
BODIES = 384
_END = re.compile(r'(?<=[.!?])\s+(?=[A-Z"])')


def texts(data: Path | None, tokenizer: Path, count: int = 2048) -> dict[str, list[str]]:
    """By kind, each a fixed random choice. data: a folder with text_eval/stsb.jsonl.xz and wiki_en/."""
    chance = random.Random(5)
    sentences, paragraphs = _read(data)
    count_tokens = Tokenizer.from_file(str(tokenizer))
    count_tokens.no_truncation()
    count_tokens.no_padding()
    found: dict[str, list[str]] = {}
    for kind, (least, most) in LENGTHS.items():
        pool = paragraphs if kind == "long" else sentences
        chance.shuffle(pool)
        taken = pool[: 4 * count]
        sizes = [len(encoding.ids) for encoding in count_tokens.encode_batch(taken)]
        found[kind] = [text for text, size in zip(taken, sizes, strict=True) if least <= size <= most][:count]
    return found


def _read(data: Path | None) -> tuple[list[str], list[str]]:
    if data is None:
        paragraphs = [json.loads(line)["text"] for line in FIXTURE.read_text(encoding="utf-8").splitlines()]
        return [s for p in paragraphs for s in _END.split(p)] + paragraphs, paragraphs
    with lzma.open(data / "text_eval" / "stsb.jsonl.xz", "rt", encoding="utf-8") as lines:
        pairs = [json.loads(line) for line in lines]
    sentences = sorted({pair[side] for pair in pairs for side in ("sentence1", "sentence2")})[::6]
    with lzma.open(data / "wiki_en" / "wiki_en_valid.jsonl.xz", "rt", encoding="utf-8") as lines:
        paragraphs = [p for line in lines for p in json.loads(line)["text"].split("\n")]
    # As many sentences from either, and half as many paragraphs: mixed texts have some 40 tokens on average.
    wiki = [s for p in paragraphs for s in _END.split(p)]
    return sentences + wiki[: len(sentences)] + paragraphs[: len(sentences) // 2], paragraphs


def masked(text: str) -> str:
    """A word in the middle is hidden."""
    words = text.split()
    words[len(words) // 2] = "[MASK]"
    return " ".join(words)


def write_bodies(path: Path, inputs: list[str], each: int, body: Callable[[list[str]], Any]) -> None:
    """A file of requests with `each` inputs, one a line."""
    wrapped = inputs * (1 + BODIES * each // len(inputs))
    chunks = [wrapped[start : start + each] for start in range(0, BODIES * each, each)]
    path.write_text("".join(json.dumps(body(chunk)) + "\n" for chunk in chunks), encoding="utf-8")
