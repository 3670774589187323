"""Examples of requests for model cards; `{name}` is the model's."""

import json

_SHOWN = 60  # characters of a text
_MASK = "[MASK]"
_JSON = "-H 'Content-Type: application/json' -d"


def json_example(path: str, text: str) -> str:
    """text: the input, as it stands within JSON."""
    return f"{path} {_JSON} " + '\'{{"model": "{name}", "input": "' + text + "\"}}'"


def quote(text: str) -> str:
    """Returns a text as it stands within JSON between single quotes of a shell, in a template."""
    escaped = json.dumps(text, ensure_ascii=False)[1:-1]
    return escaped.replace("'", "\\u0027").replace("{", "{{").replace("}", "}}")


def shorten(text: str) -> str:
    """Cuts a text to its first 60 characters, behind a word where there are spaces."""
    return _cut_end(text.strip(), _SHOWN).strip()


def shorten_masked(text: str) -> str:
    """Cuts a text with masks to 60 characters around the first mask, which is the only one that is kept."""
    left, _, right = text.strip().partition(_MASK)
    right = right.partition(_MASK)[0]
    room = (_SHOWN - len(_MASK)) // 2
    return (_cut_end(left[::-1], room)[::-1] + _MASK + _cut_end(right, room)).strip()


def _cut_end(text: str, length: int) -> str:
    if len(text) <= length:
        return text
    cut = text[:length]
    words = cut.rsplit(maxsplit=1)
    return cut if len(words) < 2 or text[length].isspace() else cut[: -len(words[1])]


def embed_example(text: str) -> str:
    return json_example("/v1/embeddings", text)


def classify_example(text: str) -> str:
    return json_example("/v1/classify", text)


def reconstruct_example(file: str) -> str:
    return "/v1/reconstruct -F model={name} -F file=@" + file + " -H 'Accept: image/png' -o panels.png"
