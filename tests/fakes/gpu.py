"""The device of the tests that need a GPU. Importing this skips the module on a machine without one.

`GPU_TESTS_DEVICE=cpu` runs those that can run without one, to try the tests themselves.
"""

import os

import pytest
import torch

DEVICE = torch.device(os.environ.get("GPU_TESTS_DEVICE", "cuda"))
if DEVICE.type == "cuda" and not torch.cuda.is_available():
    pytest.skip("needs a CUDA device", allow_module_level=True)

needs_cuda = pytest.mark.skipif(DEVICE.type != "cuda", reason="needs a CUDA device")
