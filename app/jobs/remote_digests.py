"""The digests of a job's remote files, which its worker records in the job's folder."""

import json
from pathlib import Path

DIGESTS = "remote_files.json"


def read_digests(folder: Path) -> dict[str, str]:
    """Returns the SHA-256 of each file by its address; those that have been downloaded."""
    try:
        found: dict[str, str] = json.loads((folder / DIGESTS).read_bytes())
    except FileNotFoundError:
        return {}
    return found
