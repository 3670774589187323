"""Content negotiation: the choice of a response's media type by `Accept` (RFC 9110, section 12.5.1)."""

from collections.abc import Sequence

from app.errors import NotAcceptable


def choose(accept: str | None, offered: Sequence[str]) -> str:
    """Returns the offered media type that a client prefers, or the first one if it has no preference.

    Raises NotAcceptable if the client accepts none of them.
    """
    if not accept or not accept.strip():
        return offered[0]
    ranges = [_parse_range(part) for part in accept.split(",")]
    best = max(offered, key=lambda form: _find_quality(form, ranges))  # the first of equals
    if _find_quality(best, ranges) <= 0:
        raise NotAcceptable(f"this model answers with {', '.join(offered)}; `Accept` is {accept[:100]!r}")
    return best


def _parse_range(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip().lower() for piece in part.split(";"))
    weight = next((p.removeprefix("q=") for p in parameters if p.startswith("q=")), "1")
    try:
        return name, float(weight)
    except ValueError:
        return name, 0.0


def _find_quality(form: str, ranges: Sequence[tuple[str, float]]) -> float:
    """Returns the quality of a media type from the most specific range that contains it, or 0."""
    family = form.partition("/")[0]
    for name in (form, f"{family}/*", "*/*"):
        found = [weight for each, weight in ranges if each == name]
        if found:
            return max(found)
    return 0.0
