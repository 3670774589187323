"""Requests of a command: to the running server or, without one, to this process."""

import asyncio
from collections.abc import Sequence
from typing import Any

from app.commands.client import ApiClient, NoServer
from app.commands.output import note


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
