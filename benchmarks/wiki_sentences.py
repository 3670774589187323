"""The sentences that cloze-text was trained on beside whole articles: benchmarks.wiki_sentences FOLDER OUT [WORD…]

With words, all sentences that hold one of them are kept in place of the quarter, for a file about few things.
FOLDER holds wiki_en_00 … 03.jsonl.xz, as shared/data/wiki_en has them. A quarter of their sentences
of 5 to 40 words, chosen by a fixed seed, each a document of its own: short texts are what embeddings
are compared by, and a teacher has one vector to teach for every document.
"""

import json
import lzma
import random
import re
import sys
from pathlib import Path

END = re.compile(r'(?<=[.!?])\s+(?=[A-Z"])')
SHARE = 0.25


def main(folder: Path, out: Path, words: list[str]) -> None:
    chance = random.Random(0)
    about = re.compile(rf"\b({'|'.join(map(re.escape, words))})\b", re.IGNORECASE)

    def wanted(sentence: str) -> bool:
        return bool(about.search(sentence)) if words else chance.random() < SHARE

    with out.open("w", encoding="utf-8") as lines:
        for path in sorted(folder.glob("wiki_en_0[0-3].jsonl.xz")):
            with lzma.open(path, "rt", encoding="utf-8") as articles:
                for paragraph in (p for line in articles for p in json.loads(line)["text"].split("\n")):
                    for sentence in END.split(paragraph):
                        if 5 <= len(sentence.split()) <= 40 and wanted(sentence):
                            lines.write(json.dumps({"text": sentence.strip()}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
