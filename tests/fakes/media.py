"""The small media files of tests/fixtures; make.py there says what they show."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.errors import InvalidData, TooLarge

FIXTURES = Path(__file__).parents[1] / "fixtures"
IMAGES = ["alpha.png", "cmyk.jpg", "grey.png", "grey16.png", "palette.gif", "photo.bmp", "photo.jpg", "photo.png",
          "photo.tif", "photo.webp", "turned.jpg"]  # fmt: skip
SOUNDS = ["stereo.flac", "surround.flac", "tone.aac", "tone.flac", "tone.m4a", "tone.mp3", "tone.ogg", "tone.opus",
          "tone.wav", "voice.webm"]  # fmt: skip
VIDEOS = ["animated.gif", "animated.png", "animated.webp", "clip.mp4", "clip.webm", "turned.mp4",
          "variable.mp4"]  # fmt: skip


def fixture(name: str) -> bytes:
    return (FIXTURES / name).read_bytes()


def refusal(decode: Callable[..., Any], data: bytes, **options: Any) -> str:
    """The message with which the data are refused, empty if they are not; any other error is a bug."""
    try:
        decode(data, **options)
    except (InvalidData, TooLarge) as e:
        return e.message
    return ""
