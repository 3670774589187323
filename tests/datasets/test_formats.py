"""Formats of other fields than prose: sequences, logs, lists and source trees, and what one document of them is."""

import gzip
import io
import json
import tarfile
import zipfile
from pathlib import Path, PurePath

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.datasets import sequences
from app.datasets.documents import read_documents, read_open
from app.datasets.reports import Layout, Reason, Report
from app.datasets.sources import Document
from app.errors import InvalidData
from app.types import Documents

FASTA = b""";a comment
>sp|P1|ONE_HUMAN One OS=Homo sapiens
MKT LLv
aaG

>two
MK*
>empty
>three
X-Y.Z"""
PROSE = """It was a bright cold day in April, and the clocks were striking
thirteen. The man, his chin pressed into his breast in an effort to
escape the vile wind, slipped quickly through the glass doors of the
mansions, though not quickly enough to prevent a swirl of gritty dust
from entering along with him. The hallway smelt of boiled cabbage and
old rag mats. At one end of it a coloured poster, too large for indoor
display, had been tacked to the wall. It depicted simply an enormous
face, more than a metre wide: the face of a man of about forty-five,
with a heavy black moustache and ruggedly handsome features. He made
for the stairs. It was no use trying the lift. Even at the best of
times it was seldom working, and at present the current was cut off.
"""
LOG = "".join(f"2026-11-{day:02} 12:00:0{day % 10} INFO request served in {day} ms\n" for day in range(10, 30))


class Reader:
    """Reads an upload, and keeps the report."""

    def __init__(self, folder: Path) -> None:
        self.path, self.report = folder / "content", Report()

    def __call__(self, name: str, content: bytes, documents: Documents = "auto", column: str = "text") -> list[str]:
        self.path.write_bytes(content)
        self.report = Report()
        return list(read_documents(self.path, name, column, documents=documents, report=self.report))

    def named(self, name: str, content: bytes) -> list[Document]:
        self.path.write_bytes(content)
        self.report = Report()
        with self.path.open("rb") as file:
            return list(read_open(file, name, "text", report=self.report))

    def refusal(self, name: str, content: bytes, column: str = "text") -> str:
        with pytest.raises(InvalidData) as e:
            self(name, content, column=column)
        return e.value.message


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def tarred(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


# Sequences


@pytest.mark.parametrize("name", ["a.fasta", "a.FA", "a.faa", "a.fna.gz", "a.txt", "a.seq", "a"])
def test_a_fasta_record_is_a_document_named_by_its_header(read: Reader, name: str) -> None:
    content = gzip.compress(FASTA) if name.endswith(".gz") else FASTA.removeprefix(b";a comment\n")
    if PurePath(name).suffix.lower() not in (".fasta", ".fa", ".faa", ".gz"):
        content = content.replace(b"MKT LLv", b"MKTLLv")  # spaces would be text
    assert read.named(name, content) == [
        ("MKTLLvaaG", "sp|P1|ONE_HUMAN One OS=Homo sapiens"),
        ("MK*", "two"),
        ("X-Y.Z", "three"),
    ]
    assert read.report.layouts == {Layout.SEQUENCES: 1}
    line = 6 if name.endswith(".gz") else 5
    assert read.report.skipped[Reason.EMPTY].examples == [f"{name}, line {line + 2}"]


def test_windows_line_ends_and_a_long_unwrapped_sequence(read: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequences, "PIECE", 10)
    monkeypatch.setattr(sequences, "MAX_SEQUENCE", 40)
    content = b">a very long header of the first record\r\nAC\r\nGT\r\n>b\r\n" + b"ACGTN" * 20 + b"\r\n>c\r\nAAA\r\n"
    found = read.named("a.fasta", content)
    assert found[0] == ("ACGT", "a very lon"[:9])
    assert "".join(text for text, name in found if name == "b") == "ACGTN" * 20
    assert [len(text) for text, name in found if name == "b"] == [40, 40, 20]
    assert found[-1] == ("AAA", "c")
    assert read.report.notes == ["a.fasta: sequences of more than 40 letters are read as several documents"]


def test_text_before_the_first_header_is_refused(read: Reader) -> None:
    assert read.refusal("a.fasta", b"\nACGT\n>x\nAC") == "a.fasta, line 2: expected a header that begins with '>'"


FASTQ = b"@read1 lane 3\nACgT\n+read1\n@+!!\n\n@read2\nAC\nGN\n+\n!!\n@@\n@read3\n\n+\n\n@read4\nA\n+\n+\n"


@pytest.mark.parametrize("name", ["a.fastq", "a.fq", "a.fq.gz"])
def test_a_fastq_record_has_four_lines_or_more(read: Reader, name: str) -> None:
    content = gzip.compress(FASTQ) if name.endswith(".gz") else FASTQ
    assert read.named(name, content) == [("ACgT", "read1 lane 3"), ("ACGN", "read2"), ("A", "read4")]
    assert read.report.skipped[Reason.EMPTY].count == 1


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"@a\nACGT\n+\n!!!\n", "a.fastq, line 1: this FASTQ record has 4 letters and 3 qualities"),
        (b"@a\nAC\n+\n!!!\n", "a.fastq, line 1: this FASTQ record has 2 letters and 3 qualities"),
        (b"@a\nAC\n+\n!!\n@b\nACGT", "a.fastq, line 5: the file ends within this FASTQ record"),
        (b"\n>a\nACGT", "a.fastq, line 2: expected a FASTQ header that begins with '@', found '>a'"),
    ],
)
def test_a_damaged_fastq_record_is_refused_with_its_line(read: Reader, content: bytes, expected: str) -> None:
    assert read.refusal("a.fastq", content).startswith(expected)


def test_a_smiles_file_has_molecules_and_names(read: Reader) -> None:
    content = b"c1ccccc1 benzene\nC1CCCCC1\tcyclo hexane\n\nCCO\n[Na+].[Cl-]  salt \n"
    assert read.named("a.smi", content) == [
        ("c1ccccc1", "benzene"),
        ("C1CCCCC1", "cyclo hexane"),
        ("CCO", ""),
        ("[Na+].[Cl-]", "salt"),
    ]
    assert read.report.notes == []


def test_a_line_that_names_the_columns_of_a_smiles_file_is_skipped(read: Reader) -> None:
    assert read("a.smiles", b"SMILES Name\nCCO ethanol\n") == ["CCO"]
    assert read.report.notes == ["a.smiles, line 1 names the columns and is skipped: 'SMILES Name'"]


# Plain text


SMILES = [f"C{'C' * (n % 7)}O{'c1ccccc1' * (n % 3)}N" for n in range(2000)]


@pytest.mark.parametrize("name", ["a.txt", "a.smiles_list", "a.txt.gz", "a"])
def test_one_item_a_line_is_detected(read: Reader, name: str) -> None:
    content = "\n".join(SMILES).encode()
    assert read(name, gzip.compress(content) if name.endswith(".gz") else content) == SMILES
    assert read.report.describe_layouts() == "one a line"


@pytest.mark.parametrize(
    ("content", "layout"),
    [
        ("c1ccccc1\nCCO\nCCN", Layout.LINES),
        ("MKTLLV\n\n\nMKV", Layout.PARAGRAPHS),
        ("\n".join(SMILES) + "\n\n" + "\n".join(SMILES), Layout.LINES),
        ("Der Löwe schläft.\nDie Gazelle ist wach.\nEs ist Nacht.", Layout.LINES),
        ("吾輩は猫である。\n名前はまだ無い。\nどこで生れたか。", Layout.LINES),
        (PROSE, Layout.PARAGRAPHS),
        (PROSE * 20, Layout.PARAGRAPHS),
        (PROSE + "\n" + PROSE, Layout.PARAGRAPHS),
        ("    " + PROSE.replace("\n", "\n    "), Layout.PARAGRAPHS),
        (LOG, Layout.LINES),
        ("".join(f"host{n} says that it has {n * n} jobs\n" for n in range(20)), Layout.LINES),
        ("Two lines,\nand no more", Layout.PARAGRAPHS),
        ("one line", Layout.PARAGRAPHS),
    ],
)
def test_what_a_document_is_follows_from_the_text(read: Reader, content: str, layout: Layout) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        read("a.txt", content.encode(encoding))
        assert read.report.layouts == {layout: 1}
    read("a.txt", content.replace("\n", "\r\n").encode())
    assert read.report.layouts == {layout: 1}


def test_a_log_has_a_line_a_document_and_source_code_a_file(read: Reader) -> None:
    assert read("a.log", b"started\n\nfailed: no disk\n") == ["started", "failed: no disk"]
    code = "import os\n\n\ndef f():\n    return 1"
    assert read("a.py", code.encode()) == [code]
    assert read("a.rs.gz", gzip.compress(code.encode())) == [code]


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        ("lines", ["a b", "c", "d"]),
        ("paragraphs", ["a b\nc", "d"]),
        ("file", ["a b\nc\n\nd"]),
    ],
)
def test_the_user_says_what_a_document_is(read: Reader, documents: Documents, expected: list[str]) -> None:
    for name in ("a.txt", "a.log", "a.py", "a.any"):
        assert read(name, b"a b\nc\n\nd\n", documents) == expected


def test_a_text_longer_than_its_beginning_is_read_to_its_end(read: Reader) -> None:
    lines = [f"lion {number} {'x' * 90}" for number in range(3000)]
    assert read("a.txt", "\n".join(lines).encode()) == lines


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("a.bin", bytes(range(256)), "unknown bytes"),
        ("a.txt", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff", "PNG"),
        ("a.docx", b"PK\x03\x04\x14\0\x06\0\x08\0\xe9", "a ZIP archive"),
        ("report.pdf", b"%PDF-1.4", "PDF"),
        ("model", b"\x80\x04\x95\x03\x01\x02", "unknown bytes"),
    ],
)
def test_binary_data_is_refused_by_name(read: Reader, name: str, content: bytes, found: str) -> None:
    message = read.refusal(name, content)
    assert message.startswith(f"{name}: unknown format: found {found}") and message.endswith("which is not text")


def test_text_in_another_encoding_is_refused_with_its_line(read: Reader) -> None:
    message = read.refusal("a.anything", "eins\nzwei\nfünf\n".encode("latin-1"))
    assert message.startswith("a.anything, line 3: not UTF-8 text")


@pytest.mark.parametrize("content", ["ID3\nID4\nTP53\n", "BM25 ranks documents.\nBM is a magic.\n"])
def test_text_that_begins_like_a_binary_format_is_text(read: Reader, content: str) -> None:
    assert read("genes.list", content.encode()) == content.split("\n")[:-1]


# Archives


TREE = {
    "src/main.py": b"import os\n\n\nprint(1)\n",
    "src/old.c": "// Grüße\n".encode("latin-1"),
    "Makefile": b"all:\n\techo hi\n",
    "README.md": b"# Title\n\nText.\n",
    "package.json": b'{"name": "x"}\n',
    "logo.png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff",
    "tests/table.csv": b"a,b\n1,2\n",
    ".git/config": b"[core]\n",
}


@pytest.mark.parametrize("name", ["tree.zip", "tree.tar", "tree.tar.gz", "tree.tgz"])
def test_a_source_tree_gives_its_text_and_counts_the_rest(read: Reader, name: str) -> None:
    content = zipped(TREE) if name == "tree.zip" else tarred(TREE)
    found = read(name, gzip.compress(content) if name.endswith("gz") else content)
    assert sorted(found) == ["# Title", "Text.", "all:\n\techo hi", "import os\n\n\nprint(1)", '{"name": "x"}']
    left_out = {reason: skipped.examples for reason, skipped in read.report.skipped.items()}
    assert left_out == {
        Reason.OTHER_KIND: [f"{name}/logo.png: unknown format: found PNG, which is not text"],
        Reason.NOT_UTF8: [f"{name}/src/old.c: line 1: not UTF-8 text (invalid start byte); save it as UTF-8"],
        Reason.NO_COLUMN: [
            f"{name}/tests/table.csv: line 1: no column 'text' in the header; found 'a', 'b'."
            " Set text_column to one of them. a: '1'; b: '2'"
        ],
        Reason.HIDDEN: [f"{name}/.git/config"],
    }


def test_an_archive_without_any_document_is_refused_for_its_first_file(read: Reader) -> None:
    message = read.refusal("a.zip", zipped({"1.csv": b"a,b\n1,2\n", "2.csv": b"c,d\n1,2\n"}))
    assert message.startswith("a.zip/1.csv, line 1: no column 'text' in the header; found 'a', 'b'")
    assert "a.tar/x.pdf: unknown format" in read.refusal("a.tar", tarred({"x.pdf": b"%PDF"}))


def test_text_files_of_an_archive_must_be_utf8(read: Reader) -> None:
    content = zipped({"a.txt": b"fine\n", "b.txt": "Grüße\n".encode("latin-1")})
    assert "a.zip/b.txt, line 1: not UTF-8" in read.refusal("a.zip", content)


def test_an_archive_holds_all_formats(read: Reader) -> None:
    files = {
        "1.fasta": FASTA,
        "2.jsonl.gz": gzip.compress(b'{"text": "row"}'),
        "3.json": b'["one", "two"]',
        "4.smi": b"CCO ethanol",
        "5.tsv": b"id\ttext\n1\ttab\n",
    }
    expected = ["MKTLLvaaG", "MK*", "X-Y.Z", "row", "one", "two", "CCO", "tab"]
    assert read("a.zip", zipped(files)) == expected
    assert read("a.tar", tarred(files)) == expected


# Columns


ROWS = [{"id": n, "smiles": "C" * n, "note": None} for n in range(1, 6)]
EXPECTED = "found 'id', 'smiles', 'note'. Set text_column to one of them."


def test_a_table_without_the_column_lists_its_columns_with_three_values(read: Reader) -> None:
    table = b"id,smiles,note\n1,C,\n2,CC,\n3,CCC,\n4,CCCC,\n"
    values = "id: '1', '2', '3'; smiles: 'C', 'CC', 'CCC'; note: '', '', ''"
    for name, content in (("a.csv", table), ("a.tsv", table.replace(b",", b"\t"))):
        assert read.refusal(name, content) == f"{name}, line 1: no column 'text' in the header; {EXPECTED} {values}"
    lines = "\n".join(json.dumps(row) for row in ROWS).encode()
    values = "id: '1', '2', '3'; smiles: 'C', 'CC', 'CCC'; note: 'None', 'None', 'None'"
    assert read.refusal("a.jsonl", lines) == f"a.jsonl, line 1: no field 'text'; {EXPECTED} {values}"
    array = json.dumps(ROWS).encode()
    assert read.refusal("a.json", array) == f"a.json, element 0: no field 'text'; {EXPECTED} {values}"
    assert read("a.jsonl", lines, column="smiles") == ["C", "CC", "CCC", "CCCC", "CCCCC"]


def test_a_parquet_file_lists_values_of_strings_and_types_of_others(read: Reader) -> None:
    sink = io.BytesIO()
    columns = {"id": [1, 2], "smiles": ["C", "CC"], "kind": pa.array(["a", "b"]).dictionary_encode(), "x": [[1], [2]]}
    pq.write_table(pa.table(columns), sink)
    message = read.refusal("a.parquet", sink.getvalue())
    assert "found 'id', 'smiles', 'kind', 'x'. Set text_column to one of them. id: int64; smiles: 'C', 'CC';" in message
    assert "kind: 'a', 'b'; x: list<" in message


def test_a_wide_table_shows_the_columns_with_the_longest_values(read: Reader) -> None:
    names = [*(f"assay{n}" for n in range(100)), "smiles"]
    content = ",".join(names) + "\n" + ",".join([*["0"] * 100, "c1ccccc1" * 20]) + "\n"
    message = read.refusal("a.csv", content.encode())
    assert "and 71 more" in message and "smiles: 'c1ccccc1" in message and "…'" in message
    assert len(message) < 2000
