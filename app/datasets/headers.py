"""The fields of headers of FASTA and FASTQ records, such as the organism of a protein.

UniProt writes `sp|P69905|HBA_HUMAN Hemoglobin OS=Homo sapiens OX=9606 GN=HBA1`
(https://www.uniprot.org/help/fasta-headers), NCBI `NP_000549.1 hemoglobin [Homo sapiens]` and
`seq1 [organism=Homo sapiens] [strain=x]`, sequencers `SRR001 length=36`.
"""

import re

MAX_FIELDS = 30  # of a header
ORGANISM = "organism"
_PAIR = re.compile(r"(?:^|\s)([A-Za-z][A-Za-z0-9_.-]{0,30})=")
_TAG = re.compile(r"\[([^\[\]=]+)=([^\[\]]*)\]")
_LAST = re.compile(r"\[([^\[\]=]+)\]$")


def parse_header(header: str) -> dict[str, str]:
    """Returns the fields of a header: `id`, the first word; `description`; and what it names as `key=value`.

    `organism` is UniProt's OS, or what NCBI writes in brackets at the end.
    """
    identifier, _, rest = header.strip().partition(" ")
    fields = {"id": identifier}
    for name, value in _TAG.findall(rest):
        fields.setdefault(name.strip(), value.strip())
    rest = _TAG.sub(" ", rest).strip()
    pairs = list(_PAIR.finditer(rest))[:MAX_FIELDS]
    ends = [*(pair.start() for pair in pairs[1:]), len(rest)]
    for pair, end in zip(pairs, ends, strict=True) if pairs else ():
        fields.setdefault(pair[1], rest[pair.end() : end].strip())
    if "OS" in fields:
        fields.setdefault(ORGANISM, fields["OS"])
    elif last := _LAST.search(rest):
        fields.setdefault(ORGANISM, last[1].strip())
        rest = rest[: last.start()]
    fields["description"] = rest[: pairs[0].start() if pairs else len(rest)].strip()
    return {name: value for name, value in fields.items() if value}
