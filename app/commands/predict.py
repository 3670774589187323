"""`cloze predict`: masks of texts, filled."""

from typing import Any

from app.commands.asking import Model, Texts, ask
from app.commands.client import ApiKey, Url
from app.commands.fill_options import (
    Allow,
    Ban,
    CandidatePattern,
    Cut,
    CutSide,
    Decode,
    Entropy,
    FillTargets,
    NoRepeats,
    Order,
    RankWords,
    Renormalize,
    Sample,
    Seed,
    Sequences,
    Temperature,
    TopK,
    WholeWords,
    WordsOnly,
)
from app.commands.long_texts import Overflow, Stride, Truncate
from app.commands.output import Json, print_json, print_table
from app.commands.texts import read_texts
from app.types import FillOrder, Normalization

_LOCAL = {"texts", "url", "api_key", "as_json"}  # parameters that are no fields of the request


# Each parameter that is not in _LOCAL has the name and the default of a field of the request.
def predict(
    texts: Texts,
    model: Model = None,
    top_k: TopK = 5,
    targets: FillTargets = None,
    allow: Allow = None,
    ban: Ban = None,
    pattern: CandidatePattern = None,
    words_only: WordsOnly = False,
    no_repeats: NoRepeats = False,
    renormalize: Renormalize = False,
    temperature: Temperature = 1.0,
    sample: Sample = 0,
    entropy: Entropy = False,
    whole_words: WholeWords = False,
    normalization: RankWords = Normalization.NONE,
    num_sequences: Sequences = 0,
    decode: Decode = None,
    order: Order = FillOrder.CONFIDENCE,
    seed: Seed = 0,
    truncate: Truncate = False,
    truncation_side: CutSide = Cut.RIGHT,
    overflow: Overflow = None,
    stride: Stride = None,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Fill every [MASK] of the texts, and spans such as [MASK:1-3].

    Asks the running server. If there is none, and no --url was given, the model is loaded from the
    model store into this process.
    """
    options = {name: value for name, value in locals().items() if name not in _LOCAL}
    answer = ask("/v1/fill-mask", options | {"input": read_texts(texts)}, url, api_key)
    if as_json:
        print_json(answer)
    else:
        _print_filled(answer["data"])


def _print_filled(data: list[dict[str, Any]]) -> None:
    """Prints the joint fillings of texts, and the candidates and samples of each mask of texts without any."""
    found = [each for item in data for each in item.get("sequences") or []]
    if found:
        rows = [[f"{each['log_prob']:.4f}", f"{each['pseudo_log_prob']:.4f}", each["sequence"]] for each in found]
        print_table(["log-prob", "pseudo-log-prob", "text"], rows)
    masks = [mask for item in data if "sequences" not in item for mask in item["masks"]]
    rows = [
        [f"{each['score']:.4f}", each["token_str"], *_entropy_cell(mask), each["sequence"]]
        for mask in masks
        for each in mask["candidates"]
    ]
    if rows:
        print_table(["score", "token", *(["entropy"] if "entropy" in masks[0] else []), "text"], rows)
    drawn = [[f"{each['score']:.4f}", each["token_str"]] for mask in masks for each in mask.get("samples") or []]
    if drawn:
        print_table(["score", "sample"], drawn)


def _entropy_cell(mask: dict[str, Any]) -> list[str]:
    return [f"{mask['entropy']:.4f}"] if "entropy" in mask else []
