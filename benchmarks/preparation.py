"""How fast a text file is made ready for training: python -m benchmarks.preparation FOLDER MODEL [--megabytes 1000]

FOLDER holds wiki_en_00 … 03.jsonl.xz, as shared/data/wiki_en has them; MODEL is a model folder with a tokenizer.
Its text is Wikipedia's as it is; where there is less of it than asked for, it is repeated with its words
shifted, each document's by as many letters as it has been repeated, so that no word of a copy is known from
another one: the same work as new text, or more.

Prints, of the shard's making alone in a process of its own with its helpers: MB of text a second, and a second
of the processors' time, which a busy machine changes less; the process's largest resident memory, and what of it
was there before; that of the largest helper. Then the same for the tokenizer alone (`encode_batch_fast`) on the
first documents, and whether both made the same of them.
"""

import argparse
import json
import lzma
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import psutil
from transformers import AutoTokenizer

from app.datasets.documents import read_documents
from app.training.data.encoding import WholeEncoder
from app.training.data.shards import read_column, tokenize_file
from app.training.data.source_file import SourceFile

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def shifted(text: str, by: int) -> str:
    if by == 0:
        return text
    moved = LETTERS[by % 26 :] + LETTERS[: by % 26]
    return text.translate(str.maketrans(LETTERS + LETTERS.upper(), moved + moved.upper()))


def documents(folder: Path) -> Iterator[str]:
    repeated = 0
    while True:
        for path in sorted(folder.glob("wiki_en_0[0-3].jsonl.xz")):
            with lzma.open(path, "rt", encoding="utf-8") as lines:
                for line in lines:
                    yield shifted(json.loads(line)["text"], repeated)
        repeated += 1


def write_text(folder: Path, target: Path, size: int) -> int:
    """Bytes of text written, a JSON string a line."""
    written = 0
    with target.open("w", encoding="utf-8") as out:
        for text in documents(folder):
            out.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
            written += len(text.encode())
            if written >= size:
                return written
    raise AssertionError


def measure(model: Path, source: Path, cache: Path, threads: int, sender: Connection) -> None:
    """In a process of its own, so that its memory is what the making takes."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, cpu = time.monotonic(), time.process_time()
    helper = 0

    def listen(read: int | None) -> None:
        nonlocal helper
        helper = max([helper, *(process.memory_info().rss for process in psutil.Process().children())])

    shard = tokenize_file(SourceFile(source, source.name, "0"), read_column("text"), tokenizer, cache, threads, listen)
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    helpers = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu += helpers.ru_utime + helpers.ru_stime
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sender.send((seconds, cpu, before, most, helper, len(shard.tokens)))


def compare(model: Path, source: Path, cache: Path, size: int) -> tuple[int, float]:
    """(bytes compared, the processors' seconds that the tokenizer took of them)"""
    tokenizer = AutoTokenizer.from_pretrained(model)
    shard = tokenize_file(SourceFile(source, source.name, "0"), read_column("text"), tokenizer, cache)
    encode = WholeEncoder(tokenizer.backend_tokenizer, shard.tokens.dtype)
    done = number = 0
    seconds = 0.0
    for text in read_documents(source, source.name):
        began = time.process_time()
        alone = encode([text])
        seconds += time.process_time() - began
        start = int(shard.ends[number - 1]) if number else 0
        mine = shard.tokens[start : int(shard.ends[number])]
        assert np.array_equal(mine, np.frombuffer(alone.tokens, shard.tokens.dtype)), f"document {number}"
        assert shard.hashes[number] == alone.hashes[0], f"document {number}"
        number, done = number + 1, done + len(text.encode())
        if done >= size:
            break
    return done, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--sample", type=int, default=10, help="megabytes on which the tokenizer alone is run")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        source, cache = Path(scratch, "text.jsonl"), Path(scratch, "cache")
        size = write_text(given.folder, source, given.megabytes * 1_000_000) / 1e6
        receiver, sender = multiprocessing.Pipe(duplex=False)
        arguments = (given.model, source, cache, given.threads, sender)
        process = multiprocessing.get_context("spawn").Process(target=measure, args=arguments)
        process.start()
        seconds, cpu, before, most, helper, tokens = receiver.recv()
        process.join()
        print(f"{size:,.0f} MB of text, {tokens:,} tokens, {given.threads} threads: {seconds:.1f} s")
        print(f"  a second: {size / seconds:.2f} MB; of the processors' time: {size / cpu:.2f} MB")
        print(f"  resident memory: {most / 1e3:,.0f} MB at most, of which {before / 1e3:,.0f} MB before")
        print(f"  of the largest of its helpers: {helper / 1e6:,.0f} MB at most")
        done, alone = compare(given.model, source, cache, given.sample * 1_000_000)
        print(f"  tokenizer and hash alone, a second of the processors' time: {done / 1e6 / alone:.2f} MB")
        print(f"  equal on the first {done / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
