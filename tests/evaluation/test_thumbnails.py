"""Reports show the images that a model gets wrong."""

import base64

import numpy as np

from app.datasets.label_checks import check_labels
from app.datasets.labelled import LabelledItem, LabelledItems, Part
from app.evaluation.mistakes import Mistake, Mistakes
from app.evaluation.report import build_report
from app.evaluation.results import Findings
from app.evaluation.thumbnails import add_thumbnails
from app.media.images import decode_image, encode_png
from app.modalities.registry import MODALITIES
from app.system.process_pool import ProcessPool


def test_mistakes_of_images_have_thumbnails() -> None:
    picture = encode_png(np.full((100, 200, 3), [200, 30, 30], np.uint8))
    contents = [picture + bytes(n) for n in range(4)] + [b"no image", b"none either"]
    items = [LabelledItem(each, "ab"[n % 2], Part.EITHER, f"{n}.png") for n, each in enumerate(contents)]
    findings = Findings(check_labels(LabelledItems(items)), "accuracy", "", ["m@1"], ["all"])
    wrong = [Mistake(item, 0, 0.5, 1, 1) for item in (1, 4)]
    findings.mistakes.append(Mistakes("m@1", "all", 1, wrong, 2))
    make = MODALITIES["image"].thumbnail()
    assert make is not None and MODALITIES["text"].thumbnail() is None
    with ProcessPool(1) as processes:
        add_thumbnails(findings, make, processes)
    (described,) = build_report(findings, complete=False)["mistakes"]
    shown, missing = (item["thumbnail"] for item in described["items"])
    pixels = decode_image(base64.b64decode(shown.removeprefix("data:image/webp;base64,")))
    assert pixels.shape == (32, 64, 3) and missing is None
    assert np.abs(pixels.mean((0, 1)) - [200, 30, 30]).max() < 10
