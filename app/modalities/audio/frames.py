"""The frames that the convolutions of a waveform model make of samples. No torch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ConvolutionFrames:
    """The geometry of a stack of convolutions. kernels, strides: of each layer, in its own input."""

    kernels: tuple[int, ...]
    strides: tuple[int, ...]

    @classmethod
    def of_model(cls, config: Mapping[str, Any]) -> "ConvolutionFrames":
        """Reads a configuration of transformers. Raises KeyError, TypeError and ValueError for one that lacks them."""
        kernels, strides = tuple(map(int, config["conv_kernel"])), tuple(map(int, config["conv_stride"]))
        if len(kernels) != len(strides) or min(kernels + strides) < 1:
            raise ValueError(f"convolutions of {kernels} with strides of {strides}")
        return cls(kernels, strides)

    @property
    def stride(self) -> int:
        """Samples from one frame to the next."""
        return math.prod(self.strides)

    def count(self, samples: int) -> int:
        """Returns the number of frames of so many samples."""
        for kernel, stride in zip(self.kernels, self.strides, strict=True):
            samples = (samples - kernel) // stride + 1
        return max(0, samples)

    def samples(self, frames: int) -> int:
        """Returns the smallest number of samples that gives so many frames."""
        for kernel, stride in zip(reversed(self.kernels), reversed(self.strides), strict=True):
            frames = (frames - 1) * stride + kernel
        return frames
