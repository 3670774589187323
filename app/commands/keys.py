"""`cloze keys`: API keys, through the API of the running server, or in its Redis."""

import time
from contextlib import closing
from typing import Annotated, Any, get_args

import typer

from app.access.keys import KeyLimits, KeyScope
from app.commands.client import ApiClient, ApiKey, Url
from app.commands.jobs import format_time
from app.commands.output import Json, print_json, print_table
from app.errors import InvalidValue
from app.settings import Settings

app = typer.Typer(help="Create, list and revoke API keys.", no_args_is_help=True)

KeyIds = Annotated[list[str], typer.Argument(help="Ids of the keys.", show_default=False)]
Limit = Annotated[int | None, typer.Option(min=0, show_default=False, help="Limit of the key; 0: none.")]

_DAY = 86400


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Name of the key.", show_default=False)],
    scopes: Annotated[
        list[str], typer.Option("--scope", help="predict, jobs, models or admin. May be repeated.", show_default=False)
    ],
    expires_days: Annotated[float | None, typer.Option(min=0.0, show_default=False, help="Lifetime in days.")] = None,
    requests_per_minute: Limit = None,
    concurrency: Limit = None,
    storage_bytes: Limit = None,
    jobs: Limit = None,
    local: Annotated[
        bool, typer.Option("--local", help="Write to the server's Redis, for the first key or after the loss of all.")
    ] = False,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Make a key and print it. It cannot be shown again."""
    limits = KeyLimits(
        requests_per_minute=requests_per_minute, concurrency=concurrency, storage_bytes=storage_bytes, jobs=jobs
    )
    body: dict[str, Any] = {
        "name": name,
        "scopes": _check_scopes(scopes),
        "expires_at": None if expires_days is None else time.time() + expires_days * _DAY,
    }
    if local:
        made = _create_locally(body, limits)
    else:
        with ApiClient(url, api_key) as client:
            made = client.post("/v1/keys", {**body, "limits": limits.model_dump()})
    if as_json:
        print_json(made)
    else:
        typer.echo(f"Created {made['id']}. Keep the key, it is not shown again:", err=True)
        typer.echo(made["key"])


@app.command("list")
def list_keys(url: Url = None, api_key: ApiKey = None, as_json: Json = False) -> None:
    """List keys, newest first."""
    with ApiClient(url, api_key) as client:
        found = client.get("/v1/keys")["data"]
    if as_json:
        print_json(found)
    else:
        print_table(
            ["key", "name", "secret", "scopes", "created", "expires", "last used"], [_row(key) for key in found]
        )


@app.command("revoke")
def revoke(key_ids: KeyIds, url: Url = None, api_key: ApiKey = None) -> None:
    """Revoke keys. Their jobs, files and models are kept."""
    with ApiClient(url, api_key) as client:
        for key_id in key_ids:
            client.delete(f"/v1/keys/{key_id}")
            typer.echo(f"Revoked {key_id}")


def _create_locally(body: dict[str, Any], limits: KeyLimits) -> dict[str, Any]:
    from app.access.key_store import KeyStore  # these import redis, which the other commands do not need
    from app.api.schemas.keys import created_key
    from app.jobs.connection import connect, find_url

    settings = Settings()
    with closing(connect(find_url(settings.redis_url, settings.var_dir))) as redis:
        store = KeyStore(redis, keeps_admin=not settings.api_keys)
        return created_key(store.create(**body, limits=limits)).model_dump()


def _check_scopes(scopes: list[str]) -> list[str]:
    for scope in scopes:
        if scope not in get_args(KeyScope):
            raise InvalidValue(f"{scope!r} is no scope; there are {', '.join(get_args(KeyScope))}")
    return scopes


def _row(key: dict[str, Any]) -> list[str]:
    times = [
        format_time(key[field]) if key[field] else "never" for field in ("created_at", "expires_at", "last_used_at")
    ]
    return [key["id"], key["name"], f"{key['hint']}…", ", ".join(key["scopes"]), *times]
