import pytest

from app.api.wire.negotiation import choose
from app.errors import NotAcceptable

OFFERED = ["application/json", "image/png", "image/webp"]


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, "application/json"),
        ("", "application/json"),
        ("*/*", "application/json"),
        ("image/png", "image/png"),
        ("IMAGE/PNG; q=0.5", "image/png"),
        ("image/*", "image/png"),
        ("image/webp, */*;q=0.1", "image/webp"),
        ("text/html, image/png;q=0.2, application/json;q=0.9", "application/json"),
        ("*/*, application/json;q=0", "image/png"),
        ("image/avif,image/*;q=0.8,*/*;q=0.5", "image/png"),
    ],
)
def test_the_client_decides(accept: str | None, chosen: str) -> None:
    assert choose(accept, OFFERED) == chosen


@pytest.mark.parametrize("accept", ["text/html", "image/png;q=0", "audio/*", "image/png;q=much"])
def test_what_is_not_there_cannot_be_had(accept: str) -> None:
    with pytest.raises(NotAcceptable, match="image/webp"):
        choose(accept, OFFERED)
