"""The packages that an ONNX export needs. tests/conformance/test_onnx.py exports models."""

import pytest

from app.errors import NotReady
from app.modalities.onnx_export import check_packages


def test_missing_packages_are_named_with_the_extra() -> None:
    check_packages()
    with pytest.raises(NotReady, match=r"needs onnxruntime: .* pip install 'cloze\[onnx\]'"):
        check_packages(find=lambda name: None if name == "onnxruntime" else name)
