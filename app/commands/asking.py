"""Requests of a command: to the running server or, without one, to this process."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from app.commands.client import ApiClient, NoServer
from app.commands.output import note

Texts = Annotated[
    list[str],
    typer.Argument(
        metavar="TEXT...",
        show_default=False,
        help="Texts, or files whose lines are texts; - reads the lines of standard input.",
    ),
]
Model = Annotated[str | None, typer.Option("--model", "-m", help="Model as name, name@version or name:alias.")]
INPUTS_PER_REQUEST = 512


def ask(
    path: str,
    body: dict[str, Any],
    url: str | None,
    api_key: str | None,
    *,
    field: str = "input",
    at_once: int | None = None,
) -> dict[str, Any]:
    """Returns the answer to all inputs.

    field: of the inputs. at_once: inputs of a request; None for INPUTS_PER_REQUEST.
    """
    inputs, size = body[field], at_once or INPUTS_PER_REQUEST
    bodies = [body | {field: inputs[start : start + size]} for start in range(0, len(inputs), size)]
    return _join(ask_all(path, bodies, url, api_key), size)


def ask_all(path: str, bodies: Sequence[dict[str, Any]], url: str | None, api_key: str | None) -> list[dict[str, Any]]:
    """Returns the answer to each body. With a `url`, only its server is asked. Raises AppError."""
    try:
        with ApiClient(url, api_key) as client:
            return [client.post(path, each) for each in bodies]
    except NoServer:
        if url is not None:
            raise
    note("No server is running: loading the model here.")
    from app.commands.local import answer_all  # imports torch

    return asyncio.run(answer_all(path, bodies))


def _join(answers: list[dict[str, Any]], size: int) -> dict[str, Any]:
    """Returns one answer to all inputs. size: inputs of each request but the last."""
    data = [
        item | {"index": size * number + item["index"]} for number, each in enumerate(answers) for item in each["data"]
    ]
    names = dict.fromkeys(name for answer in answers for name in answer["usage"])
    usage = {name: sum(answer["usage"].get(name, 0) for answer in answers) for name in names}
    return answers[0] | {"data": data, "usage": usage}
