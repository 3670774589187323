"""The look at a training file before a job is queued, by modality."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.media.samples import check_samples
from app.media.sampling import DocumentSample, sample_documents
from app.types import Modality


def _check_text(path: Path, filename: str, hp: Any) -> DocumentSample:
    return sample_documents(
        path, filename, hp.text_column, min_characters=hp.min_characters, max_characters=hp.max_characters
    )


# (the content, its file name, the job's hyperparameters) → what it found; raises InvalidData
CHECKS: dict[Modality, Callable[[Path, str, Any], Any]] = {
    Modality.TEXT: _check_text,
    # Strips of frames side by side are images.
    Modality.VIDEO: lambda path, filename, hp: check_samples(
        path, filename, Modality.IMAGE if hp.strip_frames else Modality.VIDEO
    ),
    Modality.IMAGE: lambda path, filename, hp: check_samples(path, filename, Modality.IMAGE),
    Modality.AUDIO: lambda path, filename, hp: check_samples(path, filename, Modality.AUDIO),
}
