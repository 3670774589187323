"""Animated GIF, WebP and PNG files, decoded with Pillow."""

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from app.media.frames import FrameCount, Frames, Video, check_times
from app.media.images import first_frame, flatten, open_image
from app.media.limits import Limits
from app.media.sniff import Kind, decoder_errors

UNTIMED = 0.1  # seconds that browsers show a frame without a duration


class Animation(Video):
    """An animated image. Each frame is drawn over the one before, so reading backwards starts again at the first."""

    def __init__(self, data: bytes, kind: Kind, limits: Limits) -> None:
        super().__init__(limits)
        self._data, self._kind = data, kind
        with decoder_errors(kind):
            self._image = self._open()
            self._first = first_frame(self._image)
            self.width, self.height = self._image.size
            count = FrameCount(limits, self.width * self.height, limits.max_video_volume // 10)
            moments = [0.0, *np.cumsum(list(count.each(self._durations())))]
        self.times, self.duration = check_times(moments[:-1], moments[-1] - moments[-2], limits)

    def close(self) -> None:
        self._image.close()

    def _open(self) -> Image.Image:
        return open_image(self._data, self._kind.name.removeprefix("animated "))

    def _durations(self) -> Iterator[float]:
        index = self._first
        while True:
            try:
                self._image.seek(index)
                self._image.load()  # WebP has the duration of a frame only once it is decoded
            except EOFError:
                return
            yield float(self._image.info.get("duration", 0)) / 1000 or UNTIMED
            index += 1

    def _decode(self, wanted: Sequence[int], height: int, width: int) -> Iterator[Frames]:
        for index in (self._first + frame for frame in wanted):
            with decoder_errors(self._kind):
                if index < self._image.tell():  # Pillow 13 can go back in a PNG only to its start
                    self._image.close()
                    self._image = self._open()
                self._image.seek(index)
                frame = flatten(self._image).convert("RGB")
                if frame.size != (width, height):
                    frame = frame.resize((width, height), Image.Resampling.BOX)
                pixels = np.asarray(frame)
            yield pixels
