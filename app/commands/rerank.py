"""`cloze rerank`: by the running server or, without one, in this process."""

from typing import Annotated

import typer

from app.commands.asking import ask_all
from app.commands.client import ApiKey, Url
from app.commands.output import Json, print_json, print_table
from app.commands.texts import read_texts
from app.types import CompareMethod


def rerank(
    query: Annotated[
        str, typer.Argument(metavar="QUERY", help="Text that the documents are compared with.", show_default=False)
    ],
    documents: Annotated[
        list[str],
        typer.Argument(
            metavar="DOCUMENT...",
            show_default=False,
            help="Documents, or files whose lines are documents; - reads the lines of standard input.",
        ),
    ],
    model: Annotated[str | None, typer.Option("--model", "-m", help="Model as name, name@version or name:alias.")] = (
        None
    ),
    top_n: Annotated[
        int | None, typer.Option("--top-n", "-n", min=1, help="Number of documents to print; all by default.")
    ] = None,
    method: Annotated[
        CompareMethod | None, typer.Option(help="Method of the comparison; the model's own by default.")
    ] = None,
    raw_scores: Annotated[
        bool, typer.Option("--raw-scores", help="Leave out the activation of a cross-encoder.")
    ] = False,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Sort documents by their relevance to a query, the most relevant first. Empty lines of files are no documents.

    Asks the running server. If there is none, and no --url was given, the model is loaded from the
    model store into this process.
    """
    body = {
        "query": query,
        "documents": read_texts(documents),
        "model": model,
        "top_n": top_n,
        "method": method,
        "raw_scores": raw_scores,
        "return_documents": True,
    }
    (answer,) = ask_all("/v1/rerank", [body], url, api_key)
    if as_json:
        print_json(answer)
        return
    rows = [
        [f"{each['relevance_score']:.4f}", str(each["index"]), each["document"]["text"]] for each in answer["results"]
    ]
    print_table(["score", "index", "document"], rows)
