"""`cloze audit`: the log of changes, through the API of the running server."""

from typing import Annotated

import typer

from app.commands.client import ApiClient, ApiKey, Url
from app.commands.jobs import format_time
from app.commands.output import Json, print_json, print_table


def audit(
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """List the latest changes of jobs, files, models and keys, newest first."""
    with ApiClient(url, api_key) as client:
        found = client.get("/v1/audit", limit=limit)["data"]
    if as_json:
        print_json(found)
        return
    rows = [
        [format_time(int(each["created_at"])), each["action"], *(each[field] or "" for field in _FIELDS)]
        for each in found
    ]
    print_table(["time", "change", *_FIELDS.values()], rows)


_FIELDS = {"object_id": "object", "key_name": "key", "address": "address", "request_id": "request"}
