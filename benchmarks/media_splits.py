"""The archives that the media models of model_store were trained on: python -m benchmarks.media_splits FOLDER OUT

FOLDER holds shared/data's archives. OUT gets `<set>_train.zip` of what is not held out, and for each modality
`<modality>_held_out.zip`, a job's validation file: up to 128 held-out items of every set, chosen by a fixed seed.
Sprites become lossless animations. Of the unlabelled real clips every eighth is held out.
"""

import random
import sys
import zipfile
from pathlib import Path

from app.types import Modality
from benchmarks.media_quality import SETS, Labelled

EACH = 128
REAL_CLIPS, EVERY = "intel_clips_112.zip", 8


def real_clips(data: Path) -> list[Labelled]:
    with zipfile.ZipFile(data / REAL_CLIPS) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".mp4"))
        return [Labelled(archive.read(name), "", place % EVERY == 0) for place, name in enumerate(names)]


def write(path: Path, items: list[Labelled]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for place, item in enumerate(items):
            # Dates are fixed, so that the same items are the same file.
            archive.writestr(zipfile.ZipInfo(f"{place:05}"), item.content)
    print(path.name, len(items))


def main(data: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for modality, sources in SETS.items():
        every = {name: source(data) for name, source in sources.items()}
        if modality is Modality.VIDEO:
            every["real clips"] = real_clips(data)
        held_out: list[Labelled] = []
        for name, items in every.items():
            write(out / f"{name.replace(' ', '_').lower()}_train.zip", [item for item in items if not item.held_out])
            rest = [item for item in items if item.held_out]
            held_out += random.Random(0).sample(rest, min(EACH, len(rest)))
        write(out / f"{modality}_held_out.zip", held_out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
