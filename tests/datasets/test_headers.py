from pathlib import Path

import pytest

from app.datasets.headers import parse_header
from app.datasets.previews import HeaderField
from app.datasets.sampling import sample_documents


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            "sp|P0A|X_ECOLI Ferredoxin [2Fe-2S] OS=Escherichia coli (strain K12) OX=83333 GN=fdx PE=1 SV=2",
            {
                "id": "sp|P0A|X_ECOLI", "description": "Ferredoxin [2Fe-2S]", "OS": "Escherichia coli (strain K12)",
                "organism": "Escherichia coli (strain K12)", "OX": "83333", "GN": "fdx", "PE": "1", "SV": "2",
            },
        ),
        (
            "NP_000549.1 hemoglobin [Homo sapiens]",
            {"id": "NP_000549.1", "description": "hemoglobin", "organism": "Homo sapiens"},
        ),
        (
            "s1 [organism=Mus musculus] [strain=a b] text",
            {"id": "s1", "organism": "Mus musculus", "strain": "a b", "description": "text"},
        ),
        ("SRR001.1 length=36", {"id": "SRR001.1", "length": "36"}),
        ("chr1", {"id": "chr1"}),
        ("", {}),
    ],
)  # fmt: skip
def test_fields_of_headers(header: str, expected: dict[str, str]) -> None:
    assert parse_header(header) == expected


def test_a_preview_lists_the_fields_of_sequences(tmp_path: Path) -> None:
    path = tmp_path / "content"
    path.write_text("".join(f">p{n} protein OS=Organism {n % 4} PE=1\nMKV{'A' * n}\n" for n in range(20)))
    found = sample_documents(path, "a.fasta", "text").preview
    assert found is not None
    values = tuple(f"Organism {n}" for n in range(3))
    assert set(found.header_fields) == {
        HeaderField("OS", 4, values), HeaderField("organism", 4, values), HeaderField("PE", 1, ("1",))
    }  # fmt: skip
