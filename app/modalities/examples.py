"""Examples of requests for model cards; `{name}` is the model's."""

_JSON = "-H 'Content-Type: application/json' -d"


def json_example(path: str, text: str) -> str:
    """text: the input, as it stands within JSON."""
    return f"{path} {_JSON} " + '\'{{"model": "{name}", "input": "' + text + "\"}}'"


def embed_example(text: str) -> str:
    return json_example("/v1/embeddings", text)


def reconstruct_example(file: str) -> str:
    return "/v1/reconstruct -F model={name} -F file=@" + file + " -H 'Accept: image/png' -o panels.png"
