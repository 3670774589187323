"""Limits on media files."""

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of all decoders. Decoders raise TooLarge beyond them, before decoding if the header is right.

    The defaults allow photos of 50 megapixels, half an hour of sound and ten minutes of full-HD video. With them one
    decoding call needs little more than half a gigabyte of memory.
    """

    max_bytes: int = 256 * MIB  # of one encoded file
    max_image_pixels: int = 50_000_000
    max_audio_seconds: float = 1800.0
    max_audio_channels: int = 16
    max_video_seconds: float = 600.0
    max_video_frames: int = 36_000
    max_video_pixels: int = 4096 * 2304  # of one frame
    max_video_volume: int = 40_000_000_000  # pixels × frames, the work of decoding; a tenth of it for GIF and WebP
    max_clip_bytes: int = 512 * MIB  # decoded frames returned at once
    max_archive_entries: int = 1_000_000
    max_archive_ratio: int = 100  # unpacked ÷ packed bytes of a whole archive; media compress little

    def clips_at_once(self, frames: int, side: int) -> int:
        """Returns how many RGB clips [frames, side, side, 3] may be decoded at once, at least one."""
        return max(1, self.max_clip_bytes // (frames * side * side * 3))


DEFAULT_LIMITS = Limits()
