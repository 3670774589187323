"""Whether the vectors of a model folder were trained to be cut, which there is no single way to say."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.modalities.embedding import Matryoshka
from app.modalities.model_files import read_json

FIELD = "matryoshka_dimensions"  # the name in the configurations of published models, which vLLM reads too

_CARD = "README.md"
_CARD_BYTES = 1 << 18  # of a card that are searched
_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---", re.DOTALL)
_TAGS = re.compile(r"^tags:.*(?:\n[ -].*)*", re.MULTILINE)
# sentence-transformers writes the parameters of MatryoshkaLoss into the card.
_SIZES = re.compile(r"\"matryoshka_dims\"\s*:\s*\[([\d\s,]*)\]")
_SIZE = re.compile(r"\d{1,6}")


def read_matryoshka(folder: Path, settings: Mapping[str, Any]) -> Matryoshka | None:
    """Returns the sizes to which the vectors of a folder can be cut; None where nothing says that they can.

    settings: those of sentence-transformers. They, or the model's configuration, have `matryoshka_dimensions` or
    `is_matryoshka`, or a `truncate_dim`; or the front matter of the card has a tag such as `loss:MatryoshkaLoss`.
    """
    config = read_json(folder / "config.json") if (folder / "config.json").is_file() else {}
    for fields in (settings, config if isinstance(config, dict) else {}):
        if sizes := _sizes(fields.get(FIELD)):
            return Matryoshka(sizes)
        if fields.get("is_matryoshka") is True:
            return Matryoshka()
    return _read_card(folder / _CARD) or (Matryoshka() if settings.get("truncate_dim") else None)


def _sizes(given: object) -> tuple[int, ...]:
    found = given if isinstance(given, list) else ()
    return tuple(size for size in found if isinstance(size, int) and not isinstance(size, bool) and size > 0)


def _read_card(path: Path) -> Matryoshka | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        card = file.read(_CARD_BYTES).decode("utf-8", errors="replace")
    front = _FRONT_MATTER.search(card)
    tags = _TAGS.search(front[1]) if front else None
    if tags is None or "matryoshka" not in tags[0].lower():
        return None
    sizes = _SIZES.search(card)
    return Matryoshka(_sizes([int(size) for size in _SIZE.findall(sizes[1])]) if sizes else ())
