"""The device of the tests that need a GPU.

`GPU_TESTS_DEVICE=cpu` runs the long ones on a CPU too, to try the tests themselves.
"""

import os

import pytest
import torch

_ASKED = os.environ.get("GPU_TESTS_DEVICE")
DEVICE = torch.device(_ASKED or ("cuda" if torch.cuda.is_available() else "cpu"))

HAS_GPU = _ASKED is not None or DEVICE.type == "cuda"
needs_cuda = pytest.mark.skipif(DEVICE.type != "cuda", reason="needs a CUDA device")
needs_gpu = pytest.mark.skipif(not HAS_GPU, reason="needs a CUDA device")
