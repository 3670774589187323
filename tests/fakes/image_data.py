"""Archives of little pictures, as jobs are given them."""

import io
import tarfile
import zipfile
from pathlib import Path

from tests.fakes.tiny_images import picture


def picture_zip(path: Path, count: int = 24, *, broken: int = 0) -> Path:
    """`count` good JPEGs, `broken` cut ones and a list of labels."""
    with zipfile.ZipFile(path, "w") as archive:
        for seed in range(count):
            archive.writestr(f"pictures/{seed:03}.jpg", picture(seed))
        for seed in range(broken):
            archive.writestr(f"pictures/broken-{seed}.jpg", picture(seed)[:100])
        archive.writestr("labels.csv", "file,label\n")
    return path


def picture_tar(path: Path, count: int = 6) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for seed in range(count):
            data = picture(1000 + seed, form="PNG")
            entry = tarfile.TarInfo(f"{seed:06}.png")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path
