"""Which of several forms of an answer a client wants most (RFC 9110, section 12.5.1)."""

from collections.abc import Sequence

from app.errors import NotAcceptable


def choose(accept: str | None, offered: Sequence[str]) -> str:
    """One of `offered`, whose first one is for who does not mind. Raises NotAcceptable."""
    if not accept or not accept.strip():
        return offered[0]
    ranges = [_range(part) for part in accept.split(",")]
    graded = [(_quality(form, ranges), -place) for place, form in enumerate(offered)]
    quality, place = max(graded)
    if quality <= 0:
        raise NotAcceptable(f"this model's answers come as {', '.join(offered)}, not as {accept[:100]!r}")
    return offered[-place]


def _range(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    weight = next((p.removeprefix("q=") for p in parameters if p.startswith("q=")), "1")
    try:
        return name, float(weight)
    except ValueError:
        return name, 0.0


def _quality(form: str, ranges: Sequence[tuple[str, float]]) -> float:
    """By the most specific range that the form is in."""
    family = form.partition("/")[0]
    for name in (form, f"{family}/*", "*/*"):
        found = [weight for each, weight in ranges if each == name]
        if found:
            return max(found)
    return 0.0
