"""The archives that the media models of model_store were trained on: python -m benchmarks.media_splits FOLDER OUT

FOLDER holds shared/data's archives. OUT gets `<set>_train.zip` of what is not held out, and for each modality
`<modality>_held_out.zip`, a job's validation file: up to 128 held-out items of every set, chosen by a fixed seed.
Sprites become lossless animations; moved ones come at several places, none of them that of the probe.
"""

import random
import sys
import zipfile
from pathlib import Path

from app.types import ModalityName
from benchmarks.media_sets import SETS, Labelled, moved_sprites, real_clips

EACH = 128
SEEDS = (1, 2, 3)  # of the places; the probe has 0


def write(path: Path, items: list[Labelled]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for place, item in enumerate(items):
            # Dates are fixed, so that the same items are the same file.
            archive.writestr(zipfile.ZipInfo(f"{place:05}"), item.content)
    print(path.name, len(items), flush=True)


def sets(modality: ModalityName, data: Path) -> dict[str, list[Labelled]]:
    every = {name: source(data) for name, source in SETS[modality].items()}
    if modality is ModalityName.VIDEO:
        every["moved sprites"] = [item for seed in SEEDS for item in moved_sprites(data, seed)]
        every["real clips"] = real_clips(data)
    return every


def main(data: Path, out: Path, modalities: list[ModalityName]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for modality in modalities:
        held_out: list[Labelled] = []
        for name, items in sets(modality, data).items():
            write(out / f"{name.replace(' ', '_').lower()}_train.zip", [item for item in items if not item.held_out])
            rest = [item for item in items if item.held_out]
            held_out += random.Random(0).sample(rest, min(EACH, len(rest)))
        write(out / f"{modality}_held_out.zip", held_out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), [ModalityName(name) for name in sys.argv[3:]] or list(SETS))
