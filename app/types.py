"""The words shared by every layer. A leaf: imports nothing of Cloze and no torch."""

from enum import StrEnum
from typing import Literal


class ModalityName(StrEnum):
    """The built-in modalities, as they are called on the wire. Registered ones have names beside these."""

    TEXT = "text"
    IMAGE = "image"
    AUDIO = "audio"
    VIDEO = "video"


class Task(StrEnum):
    """The tasks of served models; the values appear in model objects on the wire."""

    FILL_MASK = "fill-mask"
    SCORE = "score"
    EMBED = "embeddings"
    RECONSTRUCT = "reconstruct"


class Pooling(StrEnum):
    """How per-token vectors become one vector."""

    MEAN = "mean"
    CLS = "cls"
    MAX = "max"


# What one document of a plain text file is; auto detects it.
Documents = Literal["auto", "lines", "paragraphs", "file"]


class TruncationSide(StrEnum):
    """Which end of a too long input is cut off."""

    LEFT = "left"
    RIGHT = "right"
