"""`cloze models`: commands that work on the model store's folder. A running server sees every change."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from app.commands.model_exports import export_archive, export_onnx
from app.commands.output import Json, note, print_json, print_table
from app.errors import InvalidValue, NotReady
from app.settings import Settings
from app.store.opening import open_store
from app.store.store import ModelEntry
from app.types import Task

app = typer.Typer(help="List, import, export, push, delete and name the models of the store.", no_args_is_help=True)

_REDIS_TIMEOUT = 2.0  # seconds

ModelId = Annotated[str, typer.Argument(help="Model as name or name@version.", show_default=False)]


@app.command("list")
def list_models(as_json: Json = False) -> None:
    """List all versions of all models."""
    store = open_store(Settings())
    entries = store.list()
    aliases = {name: store.aliases(name) for name in {entry.name for entry in entries}}
    named = [(e, sorted(a for a, version in aliases[e.name].items() if version == e.version)) for e in entries]
    if as_json:
        print_json([_as_dict(entry) | {"aliases": names} for entry, names in named])
    elif not entries:
        note(f"{store.root} holds no models; import one with: cloze models import FOLDER --name NAME")
    else:
        print_table(["model", "tasks", "parameters", "aliases", "description"], [_row(*pair) for pair in named])


@app.command("import")
def import_model(
    source: Annotated[str, typer.Argument(help="A folder, or a hub id: org/name or org/name@revision.")],
    name: Annotated[str, typer.Option(help="Name of the model in this store.")],
    architecture: Annotated[
        str | None, typer.Option(help="The model_type, such as bert, if config.json names none.")
    ] = None,
    tokenizer_regex: Annotated[
        str | None,
        typer.Option(help="The tokenizer's regular expression, or `smiles`, for a vocab.txt that came with code."),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(help="The stored model that a LoRA adapter changes, if it is not the one that the adapter names."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a model and copy it into the store.

    PyTorch checkpoints are converted to safetensors. LoRA adapters are merged into their base. Code that
    comes with a model never runs. Downloads from the Hugging Face hub need CLOZE_ALLOW_HUB=1.
    """
    from app.commands.import_progress import show_import
    from app.publishing.import_tools import import_tools
    from app.store.hub import HubAccess, find_source
    from app.store.importer import ImportOptions
    from app.store.importer import import_model as into_store

    settings = Settings()
    access = HubAccess(settings.allow_hub, settings.hub_organizations, settings.max_import_bytes)
    with show_import() as progress:
        entry = into_store(
            open_store(settings),
            source,
            name,
            fetch=partial(find_source, source, access),
            tools=import_tools(),
            options=ImportOptions(architecture, tokenizer_regex, base),
            progress=progress,
        )
    _report(entry, f"Imported {entry.id}: {', '.join(entry.manifest.tasks)}", as_json)


@app.command("delete")
def delete_model(
    model: ModelId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    as_json: Json = False,
) -> None:
    """Delete one version, or all versions of a name. Versions that an unfinished job needs are kept."""
    store = open_store(Settings())
    store.resolve(model)
    if not yes:
        typer.confirm(f"Delete {model if '@' in model else f'every version of {model}'} from {store.root}?", abort=True)
    deleted = [entry.id for entry in store.delete(model, fence=_refuse_used)]
    if as_json:
        print_json({"deleted": deleted})
    else:
        typer.echo(f"Deleted {', '.join(deleted)}")


@app.command("export")
def export_model(
    model: Annotated[str, typer.Argument(help="Model as name, name@version or name:alias.", show_default=False)],
    path: Annotated[
        str | None,
        typer.Argument(
            help="File to write, or - for standard output; with --onnx, a folder.",
            show_default="NAME-VERSION.tar or NAME-VERSION-onnx",
        ),
    ] = None,
    output: Annotated[str | None, typer.Option("--output", "-o", help="The same as PATH.", show_default=False)] = None,
    onnx: Annotated[bool, typer.Option("--onnx", help="Write an ONNX graph, for onnxruntime and browsers.")] = False,
    task: Annotated[
        Task | None,
        typer.Option(help="With --onnx: fill-mask or embeddings.", show_default="fill-mask if the model can do it"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a version as an uncompressed tar, or as a folder with an ONNX graph.

    The same version always gives the same tar. An ONNX graph is written only if its results equal those of
    transformers; it needs the extra `onnx`.
    """
    entry = open_store(Settings()).resolve(model)
    if path and output:
        raise InvalidValue("name the output once, as PATH or with --output")
    if onnx:
        export_onnx(entry, path or output, task, as_json=as_json)
    elif task is not None:
        raise InvalidValue("--task can only be used with --onnx")
    else:
        export_archive(entry, path or output, as_json=as_json)


@app.command("push")
def push_model(
    repository: Annotated[str, typer.Argument(help="The hub's id: org/name.")],
    model: Annotated[str, typer.Argument(help="Model as name, name@version or name:alias.")],
    private: Annotated[bool, typer.Option("--private", help="Create the repository as a private one.")] = False,
) -> None:
    """Upload a version to the Hugging Face hub, with the token of `hf auth login` or HF_TOKEN.

    Needs CLOZE_ALLOW_HUB=1. The card and the manifest are uploaded too; they have the request of the model's job.
    """
    from app.store.push import push_model as push

    settings = Settings()
    entry = open_store(settings).resolve(model)
    if not settings.allow_hub:
        raise InvalidValue("set CLOZE_ALLOW_HUB=1 to upload models to the Hugging Face hub")
    typer.echo(f"Pushed {entry.id}: {push(entry, repository, private=private)}")


@app.command("alias")
def alias_model(
    model: ModelId,
    alias: Annotated[str, typer.Argument(help="The alias; name:alias then means this version.")],
    remove: Annotated[bool, typer.Option("--remove", help="Remove the alias instead.")] = False,
    as_json: Json = False,
) -> None:
    """Give a version another name, such as `prod`."""
    store = open_store(Settings())
    entry = store.resolve(model)
    if remove:
        store.remove_alias(entry.name, alias)
        _report(entry, f"Removed {entry.name}:{alias}", as_json)
    else:
        store.set_alias(entry.name, alias, entry.version)
        _report(entry, f"{entry.name}:{alias} is {entry.id}", as_json)


@app.command("gc")
def collect_model_garbage(
    grace_hours: Annotated[
        float, typer.Option(min=0, help="Keep younger content: a publication under way may need it.")
    ] = 24,
    as_json: Json = False,
) -> None:
    """Delete content of a bucket that no version has, such as that of deleted versions. Workers do so every day."""
    from app.store.garbage import collect_garbage
    from app.store.opening import open_model_bucket

    store = Settings().model_store
    if isinstance(store, Path):
        raise InvalidValue("CLOZE_MODEL_STORE is a folder, from which deleted versions are removed at once")
    objects, size = collect_garbage(open_model_bucket(store), grace=grace_hours * 3600)
    if as_json:
        print_json({"deleted": objects, "bytes": size})
    else:
        typer.echo(f"Deleted {objects} objects, {size:,} bytes, from {store}")


def _refuse_used(entries: list[ModelEntry]) -> None:
    """Raises Conflict for models that an unfinished job needs. Without Redis, only warns."""
    from app.jobs.connection import StorageError, connect, find_url
    from app.jobs.jobs import Jobs

    settings = Settings()
    try:
        with connect(find_url(settings.redis_url, settings.var_dir), retries=0, timeout=_REDIS_TIMEOUT) as redis:
            Jobs(redis).check_unused(entry.id for entry in entries)
    except (NotReady, StorageError):
        note("Redis is not reachable, so it is unknown whether a job needs the model.")


def _report(entry: ModelEntry, message: str, as_json: bool) -> None:
    if as_json:
        print_json(_as_dict(entry))
    else:
        typer.echo(message)


def _as_dict(entry: ModelEntry) -> dict[str, object]:
    return {"id": entry.id, "path": str(entry.path)} | entry.manifest.model_dump(mode="json", exclude={"files"})


def _row(entry: ModelEntry, aliases: list[str]) -> list[str]:
    manifest = entry.manifest
    return [entry.id, ", ".join(manifest.tasks), f"{manifest.parameters:,}", ", ".join(aliases), manifest.description]
