"""Files of at most some MiB that make up one archive: python -m benchmarks.gpu.parts FOLDER TARGET

Joins the parts of FOLDER, checks their digest and unpacks them into TARGET.
"""

import hashlib
import sys
import tarfile
import tempfile
from pathlib import Path

PART_BYTES = 15 * 10**6
_DIGEST = "weights.sha256"


def split_folder(folder: Path, out: Path, size: int = PART_BYTES) -> list[Path]:
    """Writes an archive of the folder in parts of at most `size` bytes, and its digest. Returns their paths."""
    with tempfile.TemporaryFile() as archive:
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.add(folder, arcname=".")
        archive.seek(0)
        digest = hashlib.sha256()
        parts: list[Path] = []
        while part := archive.read(size):
            digest.update(part)
            path = out / f"weights.part-{len(parts):02}"
            path.write_bytes(part)
            parts.append(path)
    (out / _DIGEST).write_text(digest.hexdigest() + "\n")
    return parts


def join_parts(folder: Path, target: Path) -> None:
    """Unpacks the archive of a folder's parts into `target`.

    Raises ValueError for parts that are missing or changed.
    """
    with tempfile.TemporaryFile() as archive:
        digest = hashlib.sha256()
        for path in sorted(folder.glob("weights.part-*")):
            part = path.read_bytes()
            digest.update(part)
            archive.write(part)
        if digest.hexdigest() != (folder / _DIGEST).read_text().strip():
            raise ValueError(f"the parts in {folder} are not those that were written: one is missing or changed")
        archive.seek(0)
        with tarfile.open(fileobj=archive) as tar:
            tar.extractall(target, filter="data")


if __name__ == "__main__":
    join_parts(Path(sys.argv[1]), Path(sys.argv[2]))
