"""The look at a training file before a job is queued, by modality."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from app.datasets.samples import check_samples
from app.datasets.sampling import sample_documents
from app.types import Modality

Check = Callable[[Path, str], Any]  # (the content, its file name) → what was found; raises InvalidData and TooLarge


def _text(hp: Any) -> Check:
    return partial(
        sample_documents,
        text_column=hp.text_column,
        min_characters=hp.min_characters,
        max_characters=hp.max_characters,
    )


def _video(hp: Any) -> Check:
    """Strips of frames side by side are images."""
    return partial(check_samples, modality=Modality.IMAGE if hp.strip_frames else Modality.VIDEO)


# The job's hyperparameters → its check, which can be pickled: it runs in a child process.
CHECKS: dict[Modality, Callable[[Any], Check]] = {
    Modality.TEXT: _text,
    Modality.VIDEO: _video,
    Modality.IMAGE: lambda hp: partial(check_samples, modality=Modality.IMAGE),
    Modality.AUDIO: lambda hp: partial(check_samples, modality=Modality.AUDIO),
}
