"""`cloze files`: uploaded files, through the API of the running server."""

from pathlib import Path
from typing import Annotated, Any

import typer

from app.commands.client import ApiClient, ApiKey, Url
from app.commands.jobs import format_time
from app.commands.output import Json, print_json, print_table
from app.commands.uploads import Uploads

app = typer.Typer(help="Upload, list, show and delete files.", no_args_is_help=True)

FileId = Annotated[str, typer.Argument(help="Id of the file, as `cloze files list` shows it.", show_default=False)]


@app.command("list")
def list_files(
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
    url: Url = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """List uploaded files, newest first."""
    with ApiClient(url, api_key) as client:
        found = client.get("/v1/files", limit=limit)["data"]
    if as_json:
        print_json(found)
    else:
        print_table(["file", "name", "bytes", "created", "sha256"], [_row(file) for file in found])


@app.command("upload")
def upload(
    path: Annotated[Path, typer.Argument(help="A file, or a folder, which becomes one archive.")],
    url: Url = None,
    api_key: ApiKey = None,
    as_json: Json = False,
) -> None:
    """Upload a file or a folder."""
    with ApiClient(url, api_key) as client, Uploads(client) as uploads:
        stored = client.get(f"/v1/files/{uploads.send(path)}")
        uploads.keep()
    if as_json:
        print_json(stored)
    else:
        typer.echo(f"Uploaded {stored['filename']} as {stored['id']}")


@app.command("show")
def show(file_id: FileId, url: Url = None, api_key: ApiKey = None) -> None:
    """Show a file's record."""
    with ApiClient(url, api_key) as client:
        print_json(client.get(f"/v1/files/{file_id}"))


@app.command("delete")
def delete(
    file_ids: Annotated[list[str], typer.Argument(help="Ids of the files.", show_default=False)],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    url: Url = None,
    api_key: ApiKey = None,
) -> None:
    """Delete files. A file that an unfinished job needs is kept."""
    if not yes:
        typer.confirm(f"Delete {', '.join(file_ids)}?", abort=True)
    with ApiClient(url, api_key) as client:
        for file_id in file_ids:
            client.delete(f"/v1/files/{file_id}")
            typer.echo(f"Deleted {file_id}")


def _row(file: dict[str, Any]) -> list[str]:
    return [file["id"], file["filename"], f"{file['bytes']:,}", format_time(file["created_at"]), file["sha256"][:12]]
