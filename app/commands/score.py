"""`cloze score`: how probable a model finds texts, pairs of texts, candidates in a context, and variants."""

from typing import Any

from app.commands.asking import INPUTS_PER_REQUEST, Model, ask
from app.commands.client import ApiKey, Url
from app.commands.long_texts import Overflow, Stride, Truncate
from app.commands.output import Json, note, print_json, print_table
from app.commands.pairs import read_pairs
from app.commands.score_options import (
    Candidates,
    EachToken,
    ExpectedTopK,
    Letters,
    Method,
    Offset,
    PairsFile,
    RankFigure,
    ScoredTexts,
    VariantsFile,
)
from app.commands.texts import read_texts
from app.commands.variants import read_variants, read_wild_type
from app.errors import EmptyInput, InvalidValue

_LOCAL = {"texts", "tokens", "url", "api_key", "as_json"}  # parameters that are no fields of the request


# Each parameter that is not in _LOCAL has the name and the default of a field of the request.
def score(
    texts: ScoredTexts = None,
    model: Model = None,
    method: Method = None,
    top_k: ExpectedTopK = 0,
    tokens: EachToken = False,
    pairs: PairsFile = None,
    candidates: Candidates = None,
    rank_by: RankFigure = None,
    variants: VariantsFile = None,
    offset: Offset = None,
    letters: Letters = None,
    truncate: Truncate = False,
    overflow: Overflow = None,
    stride: Stride = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Score each text by masking its tokens one at a time; or pairs, candidates or variants.

    Asks the running server. If there is none, and no --url was given, the model is loaded from the
    model store into this process.
    """
    options = {name: value for name, value in locals().items() if name not in _LOCAL}
    body = _read_pairs(options, texts) if pairs is not None else _read_texts(options, texts)
    answer = _ask(body, url, api_key)
    if as_json:
        print_json(answer)
    elif pairs is not None:
        print_table(["preferred", "good", "bad"], list(map(_pair_row, answer["data"])))
        note(f"Accuracy: {answer['accuracy']:.4f}")
    elif variants is not None:
        found = [each for item in answer["data"] for each in item["variants"]]
        print_table(["score", "variant"], [[f"{each['score']:.4f}", each["variant"]] for each in found])
    else:
        _print_texts(body["input"], answer["data"], tokens=tokens or top_k > 0)


def _print_texts(texts: list[str], data: list[dict[str, Any]], *, tokens: bool) -> None:
    named = list(zip(texts, data, strict=True))
    if "candidates" in data[0]:
        rows = [[*_figures(each), each["candidate"], text] for text, item in named for each in item["candidates"]]
        print_table(["log-likelihood", "perplexity", "candidate", "text"], rows)
    elif tokens:
        rows = [_token_row(token) for item in data for token in item["tokens"]]
        print_table(["log-prob", "rank", "token", "expected"], rows)
    else:
        print_table(["log-likelihood", "perplexity", "text"], [[*_figures(item), text] for text, item in named])


def _read_pairs(options: dict[str, Any], arguments: list[str] | None) -> dict[str, Any]:
    if arguments:
        raise InvalidValue("--pairs are compared instead of texts; leave the texts out")
    return options | {"pairs": read_pairs(options["pairs"])}


def _read_texts(options: dict[str, Any], arguments: list[str] | None) -> dict[str, Any]:
    if not arguments:
        raise EmptyInput("give a text, or --pairs")
    texts = read_texts(arguments)
    if options["variants"] is None:
        return options | {"input": texts}
    return options | {"input": [read_wild_type(texts)], "variants": read_variants(options["variants"])}


def _ask(body: dict[str, Any], url: str | None, api_key: str | None) -> dict[str, Any]:
    if body["pairs"] is not None:
        answer = ask("/v1/score", body, url, api_key, field="pairs")
        good = [item["preferred"] == "good" for item in answer["data"]]
        return answer | {"accuracy": sum(good) / len(good)}  # of all requests
    texts = len(body["candidates"] or []) or 1  # that each input makes
    return ask("/v1/score", body, url, api_key, at_once=max(INPUTS_PER_REQUEST // texts, 1))


def _figures(scored: dict[str, Any]) -> list[str]:
    return [f"{scored['log_likelihood']:.4f}", f"{scored['pseudo_perplexity']:.2f}"]


def _pair_row(pair: dict[str, Any]) -> list[str]:
    return [pair["preferred"], *(f"{pair[side]['log_likelihood']:.4f}" for side in ("good", "bad"))]


def _token_row(token: dict[str, Any]) -> list[str]:
    expected = ", ".join(f"{each['token_str']} {each['score']:.2f}" for each in token["candidates"])
    return [f"{token['log_prob']:.4f}", str(token["rank"]), token["token_str"], expected]
