"""`cloze predict`, `embed`, `classify` and `score`: by the running server or, without one, in this process."""

import asyncio
from typing import Annotated, Any

import typer

from app.commands.client import ApiClient, ApiKey, NoServer, Url
from app.commands.output import Json, note, print_json, print_table
from app.commands.texts import read_inputs, read_texts
from app.commands.variants import read_variants, read_wild_type
from app.modalities.text.items import FillOrder, FillStrategy, Normalization
from app.types import Aggregation

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
    url: Url = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Turn each text into a vector. --json prints whole vectors.

    Asks the running server. If there is none, and no --url was given, the model is loaded from the
    model store into this process.
    """
    texts = read_texts(texts)
    body = {"input": texts, "model": model, "pooling": pooling, "normalize": normalize}
    answer = _ask("/v1/embeddings", body, url, api_key)
    if as_json:
        print_json(answer)
        return
    rows = []
    for text, item in zip(texts, answer["data"], strict=True):
        vector = item["embedding"]
        rows.append([text, str(len(vector)), ", ".join(f"{x:.4f}" for x in vector[:5]) + ", …"])
    print_table(["text", "dimensions", "vector"], rows)


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
    try:
        with ApiClient(url, api_key) as client:
            return _joined([client.post(path, each) for each in bodies])
    except NoServer:
        if url is not None:
            raise
    note("No server is running: loading the model here.")
    from app.commands.local import answer_all  # imports torch

    return _joined(asyncio.run(answer_all(path, bodies)))


def _joined(answers: list[dict[str, Any]]) -> dict[str, Any]:
    data = [item | {"index": number} for number, item in enumerate(i for answer in answers for i in answer["data"])]
    usage = {name: sum(answer["usage"][name] for answer in answers) for name in answers[0]["usage"]}
    return answers[0] | {"data": data, "usage": usage}
