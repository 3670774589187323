"""The labelled files of the study and the raw data that its models are pretrained on, made of shared/data."""

import csv
import gzip
import io
import json
import lzma
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.media_sets import sprites

_PROTEINS = 4000  # of the eight proteomes, in the task of organisms
_CLASSES = 20  # of Caltech-101, in the smaller of its two tasks


def write_texts(name: str, data: Path, folder: Path) -> Path:
    """Writes a set of text_eval as JSON lines."""
    path = folder / f"{name}.jsonl"
    path.write_bytes(lzma.decompress((data / "text_eval" / f"{name}.jsonl.xz").read_bytes()))
    return path


def write_training_texts(name: str, data: Path, folder: Path) -> Path:
    """Writes the texts of the training part of a set, one a line, without their labels."""
    path = folder / f"{name}-raw.txt"
    with lzma.open(data / "text_eval" / f"{name}.jsonl.xz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    path.write_text("".join(f"{row['text']}\n" for row in rows if row["split"] == "train"), encoding="utf-8")
    return path


def write_articles(data: Path, folder: Path) -> Path:
    """Writes a shard of English Wikipedia."""
    path = folder / "wikipedia.jsonl"
    path.write_bytes(lzma.decompress((data / "wiki_en" / "wiki_en_00.jsonl.xz").read_bytes()))
    return path


def copy_archive(name: str, data: Path, folder: Path) -> Path:
    """Copies an archive of media with its labels.csv."""
    path = folder / name
    path.write_bytes((data / name).read_bytes())
    return path


def write_caltech(classes: int | None, data: Path, folder: Path) -> Path:
    """Writes Caltech-101 without its background class. classes: the number of the most common ones; None for all."""
    with zipfile.ZipFile(data / "caltech101_96.zip") as source:
        rows = [row for row in _read_labels(source) if not row["label"].startswith("BACKGROUND")]
        counts = {label: sum(row["label"] == label for row in rows) for label in {row["label"] for row in rows}}
        kept = set(sorted(counts, key=lambda label: (-counts[label], label))[:classes])
        path = folder / f"caltech-{len(kept)}.zip"
        with zipfile.ZipFile(path, "w") as target:
            _write_labels(target, [row for row in rows if row["label"] in kept])
            for row in rows:
                if row["label"] in kept:
                    target.writestr(row["file"], source.read(row["file"]))
    return path


def write_esc10(data: Path, folder: Path) -> Path:
    """Writes ESC-10, whose fifth fold is the test part."""
    with zipfile.ZipFile(data / "esc10_16k.zip") as source:
        rows = [row | {"split": "test" if row["fold"] == "5" else "train"} for row in _read_labels(source)]
        path = folder / "esc10.zip"
        with zipfile.ZipFile(path, "w") as target:
            _write_labels(target, rows)
            for row in rows:
                target.writestr(row["file"], source.read(row["file"]))
    return path


def write_sprites(data: Path, folder: Path) -> Path:
    """Writes the sprites as animations, in a folder of the part and one of the class."""
    path = folder / "sprites.zip"
    with zipfile.ZipFile(path, "w") as target:
        for number, clip in enumerate(sprites(data)):
            part = "test" if clip.held_out else "train"
            target.writestr(f"{part}/{clip.label}/{number}.png", clip.content)
    return path


def write_organisms(data: Path, folder: Path) -> Path:
    """Writes a sample of the proteins of eight proteomes. Their headers name the organism."""
    records = [record for path in sorted((data / "proteins").glob("UP*.gz")) for record in _read_fasta(path)]
    path = folder / "organisms.fasta"
    path.write_text("".join(random.Random(1).sample(records, _PROTEINS)), encoding="utf-8")
    return path


def write_proteomes(data: Path, folder: Path) -> Path:
    """Writes the proteins of eight proteomes."""
    path = folder / "proteomes.fasta.gz"
    path.write_bytes(b"".join(each.read_bytes() for each in sorted((data / "proteins").glob("UP*.gz"))))
    return path


def write_variants(data: Path, folder: Path) -> Path:
    """Writes the variants of a beta-lactamase with their fitness as a table."""
    text = lzma.decompress((data / "proteins" / "P62593_variants.fasta.xz").read_bytes()).decode()
    path = folder / "fitness.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"])
        for record in text.split(">")[1:]:
            header, *sequence = record.splitlines()
            writer.writerow(["".join(sequence), header.rsplit("|", 1)[1]])
    return path


def copy_molecules(name: str, data: Path, folder: Path) -> Path:
    """Copies a table of molecules."""
    path = folder / name
    path.write_bytes((data / "molecules" / name).read_bytes())
    return path


def _read_labels(archive: zipfile.ZipFile) -> list[dict[str, str]]:
    return list(csv.DictReader(io.TextIOWrapper(archive.open("labels.csv"), encoding="utf-8")))


def _write_labels(archive: zipfile.ZipFile, rows: list[dict[str, str]]) -> None:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, ["file", "label", "split"], extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    archive.writestr("labels.csv", stream.getvalue())


def _read_fasta(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        yield from (f">{record}" for record in stream.read().split(">")[1:])
