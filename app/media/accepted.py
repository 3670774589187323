"""Which files are items of a modality: images, sounds, videos, and whatever a modality from outside reads."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from app.media.lengths import Length, sound_length, video_length
from app.media.limits import Limits
from app.media.sniff import ACCEPTED, ARTICLES, modality_of
from app.types import ModalityName


@dataclass(frozen=True)
class AcceptedFiles:
    """The files of one modality, told by their content. Can be pickled: files are checked in child processes.

    name: the modality's. article, formats: for messages, such as "an image" and ("JPEG", "PNG").
    length: seconds and frames of a file, without decoding it; None where items have no length. Raises InvalidData
    and TooLarge.
    """

    name: str
    article: str
    formats: tuple[str, ...]
    accepts: Callable[[bytes], bool]
    length: Callable[[bytes, Limits], Length] | None = None


def _is(modality: ModalityName, data: bytes) -> bool:
    return modality_of(data) is modality


def _files(modality: ModalityName, length: Callable[[bytes, Limits], Length] | None = None) -> AcceptedFiles:
    formats = tuple(ACCEPTED[modality])
    return AcceptedFiles(modality, ARTICLES[modality], formats, partial(_is, modality), length)


IMAGES = _files(ModalityName.IMAGE)
SOUNDS = _files(ModalityName.AUDIO, sound_length)
VIDEOS = _files(ModalityName.VIDEO, video_length)
