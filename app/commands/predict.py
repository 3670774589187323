"""`cloze predict`, `embed`, `classify` and `score`: by the running server or, without one, in this process."""

from typing import Annotated, Any

import typer

from app.commands.asking import ask_all
from app.commands.client import ApiKey, Url
from app.commands.output import Json, print_json, print_table
from app.commands.texts import read_inputs, read_texts
from app.commands.variants import read_variants, read_wild_type
from app.types import Aggregation, FillOrder, FillStrategy, Normalization

Texts = Annotated[
    list[str],
    typer.Argument(
        metavar="TEXT...",
        show_default=False,
        help="Texts, or files whose lines are texts; - reads the lines of standard input.",
    ),
]
INPUTS_PER_REQUEST = 512

Variants = Annotated[
    str | None,
    typer.Option(
        "--variants",
        metavar="FILE",
        help="Score substitutions such as H24C or A1G:T3S in the texts, which are one sequence: the lines of a file, "
        "the column mutant of a CSV file, - for standard input, or all for every letter at every position.",
    ),
]
Offset = Annotated[
    int | None, typer.Option("--offset", min=0, help="Position of the first letter, for variants; 1 by default.")
]
Model = Annotated[str | None, typer.Option("--model", "-m", help="Model as name, name@version or name:alias.")]


def predict(
    texts: Texts,
    model: Model = None,
    top_k: Annotated[int, typer.Option("--top-k", "-k", min=1, help="Candidates for each mask.")] = 5,
    target: Annotated[list[str] | None, typer.Option(help="Score only these words; may be repeated.")] = None,
    renormalize: Annotated[
        bool, typer.Option("--renormalize", help="Rescale the scores of each mask to sum to 1 over the targets.")
    ] = False,
    whole_words: Annotated[
        bool, typer.Option("--whole-words", help="Answer with whole words of up to 4 tokens.")
    ] = False,
    normalization: Annotated[
        Normalization, typer.Option(help="Rank words of several tokens by score (none) or score per token (length).")
    ] = Normalization.NONE,
    sequences: Annotated[
        int, typer.Option("--sequences", "-n", min=0, max=20, help="Fill all masks together, in the N best ways.")
    ] = 0,
    decode: Annotated[
        FillStrategy | None, typer.Option(help="Way of filling all masks together; by default, beam.")
    ] = None,
    order: Annotated[FillOrder, typer.Option(help="Order in which masks are filled together.")] = FillOrder.CONFIDENCE,
    seed: Annotated[int, typer.Option(min=0, max=(1 << 32) - 1, help="Seed of --decode gibbs.")] = 0,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Fill every [MASK] of the texts, and spans such as [MASK:1-3].

    Asks the running server. If there is none, and no --url was given, the model is loaded from the
    model store into this process.
    """
    texts = read_texts(texts)
    body = {
        "input": texts,
        "model": model,
        "top_k": top_k,
        "targets": target or [],
        "renormalize": renormalize,
        "num_sequences": sequences,
        "whole_words": whole_words,
        "normalization": normalization,
        "decode": decode,
        "order": order,
        "seed": seed,
    }
    answer = _ask("/v1/fill-mask", body, url, api_key)
    if as_json:
        print_json(answer)
    else:
        _print_filled(answer["data"])


def _print_filled(data: list[dict[str, Any]]) -> None:
    """Prints the joint fillings of texts, and the candidates of each mask of texts without any."""
    found = [each for item in data for each in item.get("sequences") or []]
    if found:
        rows = [[f"{each['log_prob']:.4f}", f"{each['pseudo_log_prob']:.4f}", each["sequence"]] for each in found]
        print_table(["log-prob", "pseudo-log-prob", "text"], rows)
    rows = [
        [f"{candidate['score']:.4f}", candidate["token_str"], candidate["sequence"]]
        for item in data
        if "sequences" not in item
        for mask in item["masks"]
        for candidate in mask["candidates"]
    ]
    if rows:
        print_table(["score", "token", "text"], rows)


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
        str, typer.Option(help="One vector for each of: pooled (input), tokens, words, chunks, multi_vector (tokens).")
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
    answer = _ask("/v1/embeddings", body | options | cut | parts, url, api_key)
    if as_json:
        print_json(answer)
        return
    data = answer["data"]
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


def classify(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            show_default=False,
            help="Texts, media files, or files whose lines are texts; - reads the lines of standard input.",
        ),
    ],
    model: Model = None,
    top_k: Annotated[int, typer.Option("--top-k", "-k", min=1, help="Number of labels of each input.")] = 1,
    truncate: Annotated[bool, typer.Option("--truncate", help="Truncate texts that are too long.")] = False,
    aggregation: Annotated[
        Aggregation | None,
        typer.Option("--aggregation", help="How a model that labels tokens groups them; by default, none."),
    ] = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Label each input with a model that classifies, such as one that `cloze evaluate --publish` has made.

    Asks the running server. If there is none, and no --url was given, the model is loaded from the
    model store into this process.
    """
    given = read_inputs(inputs)
    has_media = any(each.content.startswith("data:") for each in given)
    body = {"input": [each.content for each in given], "model": model, "top_k": top_k, "truncate": truncate}
    body["aggregation_strategy"] = aggregation
    answer = _ask("/v1/classify", body, url, api_key, at_once=1 if has_media else None)
    if as_json:
        print_json(answer)
        return
    rows = [
        [f"{each['score']:.4f}", each["label"], each.get("word", asked.shown)]
        for asked, item in zip(given, answer["data"], strict=True)
        for each in item.get("entities") or item["scores"]
    ]
    print_table(["score", "label", "input"], rows)


def score(
    texts: Texts,
    model: Model = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="Method: within-word-l2r (default), or original, which masks each token alone; for variants "
            "masked-marginals (default) or wild-type-marginals."
        ),
    ] = None,
    top_k: Annotated[
        int,
        typer.Option("--top-k", "-k", min=0, max=20, help="Number of candidates that the model expected in its place."),
    ] = 0,
    tokens: Annotated[
        bool, typer.Option("--tokens", help="Print one line for each token instead of one for each text.")
    ] = False,
    variants: Variants = None,
    offset: Offset = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Score each text by masking its tokens one at a time, or the variants of a sequence.

    Asks the running server. If there is none, and no --url was given, the model is loaded from the
    model store into this process.
    """
    texts = read_texts(texts)
    body = {"input": texts, "model": model, "method": method, "top_k": top_k, "offset": offset}
    if variants is not None:
        body |= {"input": [read_wild_type(texts)], "variants": read_variants(variants)}
    answer = _ask("/v1/score", body, url, api_key)
    if as_json:
        print_json(answer)
    elif variants is not None:
        found = [each for item in answer["data"] for each in item["variants"]]
        print_table(["score", "variant"], [[f"{each['score']:.4f}", each["variant"]] for each in found])
    else:
        _print_scores(texts, answer["data"], tokens=tokens or top_k > 0)


def _print_scores(texts: list[str], data: list[dict[str, Any]], *, tokens: bool) -> None:
    if tokens:
        found = [token for item in data for token in item["tokens"]]
        print_table(["log-prob", "rank", "token", "expected"], [_token_row(token) for token in found])
    else:
        rows = [
            [f"{item['log_likelihood']:.4f}", f"{item['pseudo_perplexity']:.2f}", text]
            for text, item in zip(texts, data, strict=True)
        ]
        print_table(["log-likelihood", "perplexity", "text"], rows)


def _token_row(token: dict[str, Any]) -> list[str]:
    expected = ", ".join(f"{each['token_str']} {each['score']:.2f}" for each in token["candidates"])
    return [f"{token['log_prob']:.4f}", str(token["rank"]), token["token_str"], expected]


def _ask(path: str, body: dict[str, Any], url: str | None, api_key: str | None, *, at_once: int | None = None) -> Any:
    """Returns the answer to all inputs. at_once: inputs of a request; None for INPUTS_PER_REQUEST."""
    inputs, size = body["input"], at_once or INPUTS_PER_REQUEST
    bodies = [body | {"input": inputs[start : start + size]} for start in range(0, len(inputs), size)]
    return _joined(ask_all(path, bodies, url, api_key), size)


def _joined(answers: list[dict[str, Any]], size: int) -> dict[str, Any]:
    """Returns one answer to all inputs. size: inputs of each request but the last."""
    data = [
        item | {"index": size * number + item["index"]} for number, each in enumerate(answers) for item in each["data"]
    ]
    names = dict.fromkeys(name for answer in answers for name in answer["usage"])
    usage = {name: sum(answer["usage"].get(name, 0) for answer in answers) for name in names}
    return answers[0] | {"data": data, "usage": usage}
