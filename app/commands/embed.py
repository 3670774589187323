"""`cloze embed`: vectors of texts."""

from typing import Annotated, Any

import typer

from app.commands.asking import Model, Texts, ask
from app.commands.client import ApiKey, Url
from app.commands.output import Json, print_json, print_table
from app.commands.texts import read_texts


def embed(
    texts: Texts,
    model: Model = None,
    pooling: Annotated[str | None, typer.Option(help="Pooling: mean, cls or max; the model's own by default.")] = None,
    normalize: Annotated[bool, typer.Option(help="Scale vectors to length 1.")] = True,
    prompt: Annotated[str | None, typer.Option(help="Text that goes before each text.")] = None,
    prompt_name: Annotated[str | None, typer.Option(help="Name of one of the model's prompts, instead.")] = None,
    input_type: Annotated[
        str | None, typer.Option(help="Purpose of the texts, such as query or document: the model's prompt for it.")
    ] = None,
    layer: Annotated[int | None, typer.Option(help="Layer whose hidden states are pooled; -1 is the last.")] = None,
    dimensions: Annotated[int | None, typer.Option(min=1, help="Leading components to keep.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Cut vectors that were not trained for --dimensions.")] = False,
    vector_type: Annotated[
        str, typer.Option("--type", help="Type of the numbers: float, binary, ubinary, or int8 and uint8 for -1 to 1.")
    ] = "float",
    output: Annotated[
        str,
        typer.Option(
            help="Vectors of: pooled (inputs), tokens, words, chunks, multi_vector (tokens), sparse (weights)."
        ),
    ] = "pooled",
    chunk_size: Annotated[int | None, typer.Option(min=1, help="Tokens of a chunk.")] = None,
    chunk_overlap: Annotated[int | None, typer.Option(min=0, help="Tokens that neighbouring chunks share.")] = None,
    late: Annotated[bool, typer.Option("--late", help="Let the tokens of a chunk see the whole text.")] = False,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Turn each text into a vector, or each part of it. --json prints whole vectors.

    Asks the running server. If there is none, and no --url was given, the model is loaded from the
    model store into this process.
    """
    options = {"prompt": prompt, "prompt_name": prompt_name, "input_type": input_type, "layer": layer}
    cut = {"dimensions": dimensions, "truncate_dim": "force" if force else None}
    parts = {"output": output, "chunk_size": chunk_size, "chunk_overlap": chunk_overlap, "late_chunking": late}
    texts = read_texts(texts)
    unit = vector_type in ("int8", "uint8") and normalize  # equal for all requests, so that vectors can be compared
    kind = {"encoding_format": vector_type, "ranges": "unit" if unit else None}
    body = {"input": texts, "model": model, "pooling": pooling, "normalize": normalize} | kind
    answer = ask("/v1/embeddings", body | options | cut | parts, url, api_key)
    if as_json:
        print_json(answer)
    elif output == "sparse":
        _print_weights(texts, answer["data"])
    else:
        _print_vectors(texts, answer["data"], output, vector_type)


def _print_weights(texts: list[str], data: list[dict[str, Any]]) -> None:
    found = [(term, texts[item["index"]]) for item in data for term in item["embedding"]]
    print_table(["weight", "token", "text"], [[f"{term['value']:.4f}", term["token"], text] for term, text in found])


def _print_vectors(texts: list[str], data: list[dict[str, Any]], output: str, vector_type: str) -> None:
    if output == "multi_vector":
        data = [item | {"embedding": vector} for item in data for vector in item["embedding"]]
    rows = [_embedding_row(item, texts[item["index"]], vector_type) for item in data]
    if output in ("pooled", "multi_vector"):
        print_table(["text", "dimensions", "vector"], [[row[0], *row[2:]] for row in rows])
    else:
        print_table(["text", "characters", "dimensions", "vector"], rows)


def _embedding_row(item: dict[str, Any], text: str, vector_type: str) -> list[str]:
    vector, place = item["embedding"], f"{item['start']}-{item['end']}" if item.get("start") is not None else ""
    shown = [f"{x:.4f}" if vector_type == "float" else str(x) for x in vector[:5]]
    return [item.get("text", text), place, str(len(vector)), ", ".join(shown) + ", …"]
