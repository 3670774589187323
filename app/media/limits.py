"""How much a media file may cost before anything of it is decoded."""

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of every decoder. What is beyond one is refused as TooLarge, from its header where it has an honest one.

    The defaults take what people have: photos of 50 megapixels, half an hour of sound, ten minutes of
    full-HD video. With them one decoding call takes little more than half a gigabyte at most.
    """

    max_bytes: int = 256 * MIB  # of one file as it comes
    max_image_pixels: int = 50_000_000
    max_audio_seconds: float = 1800.0
    max_audio_channels: int = 16
    max_video_seconds: float = 600.0
    max_video_frames: int = 36_000
    max_video_pixels: int = 4096 * 2304  # of one frame
    max_video_volume: int = 40_000_000_000  # pixels × frames, the work of decoding all; a tenth for GIF and WebP
    max_clip_bytes: int = 512 * MIB  # decoded frames returned at once
    max_archive_entries: int = 1_000_000
    max_archive_ratio: int = 100  # unpacked ÷ packed bytes of a whole archive; media hardly compress

    def clips_at_once(self, frames: int, side: int) -> int:
        """How many RGB clips of so many square frames may be decoded at once; at least one."""
        return max(1, self.max_clip_bytes // (frames * side * side * 3))


DEFAULT_LIMITS = Limits()
