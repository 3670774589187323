from pathlib import Path

import pytest
from starlette.datastructures import Headers

from app.api.wire.content_type import media_type

APP = Path(__file__).parents[2] / "app"


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, ""),
        ({"content-type": ""}, ""),
        ({"content-type": "Application/JSON"}, "application/json"),
        ({"content-type": " application/json ; charset=utf-8"}, "application/json"),
        ({"Content-Type": 'multipart/form-data; boundary="a;b"'}, "multipart/form-data"),
    ],
)
def test_the_media_type_is_lower_case_without_parameters(given: dict[str, str], found: str) -> None:
    assert media_type(Headers(given)) == found


def test_no_other_module_parses_the_header() -> None:
    """multipart.py reads the boundary, with the parser of python_multipart."""
    parsing = {path.name for path in APP.rglob("*.py") if 'headers.get("content-type"' in path.read_text("utf-8")}
    assert parsing == {"content_type.py", "multipart.py"}
