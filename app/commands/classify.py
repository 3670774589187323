"""`cloze classify`: labels of texts and media files."""

from typing import Annotated

import typer

from app.commands.asking import Model, ask
from app.commands.client import ApiKey, Url
from app.commands.output import Json, print_json, print_table
from app.commands.texts import read_inputs
from app.types import Aggregation


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
    answer = ask("/v1/classify", body, url, api_key, at_once=1 if has_media else None)
    if as_json:
        print_json(answer)
        return
    rows = [
        [f"{each['score']:.4f}", each["label"], each.get("word", asked.shown)]
        for asked, item in zip(given, answer["data"], strict=True)
        for each in item.get("entities") or item["scores"]
    ]
    print_table(["score", "label", "input"], rows)
