"""The read-only part of the Hugging Face hub's API. Its clients find this server by `HF_ENDPOINT`.

A model of the store is a repository, and each of its versions is a commit. The paths and fields are the hub's own.
"""

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Path, Query, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field

from app.api.deps import ServicesDep
from app.api.errors import error_response
from app.api.openapi import FILE
from app.api.params import ModelId
from app.api.route_scopes import find_scope
from app.api.schemas.common import MAX_ID
from app.api.wire.ranges import RangedFile
from app.errors import InvalidValue, NotFound
from app.modalities.probe import HEAD
from app.store.manifest import Manifest
from app.store.names import LATEST, parse_version
from app.store.store import ModelEntry, ModelStore
from app.store.version_files import VersionFile, VersionFiles, list_files
from app.types import ClassifierType, Task

MAIN = "main"  # the default revision of clients

_PIPELINES = {Task.FILL_MASK: "fill-mask", Task.EMBED: "feature-extraction"}
_MAX_PATH = 1024  # characters
_MAX_PATHS = 1000  # of a request
HubPath = Annotated[str, Field(max_length=_MAX_PATH)]

Revision = Annotated[
    str, Path(max_length=MAX_ID, description="`main` (the latest version), a version's number, an alias or a commit")
]


class HubNotFound(NotFound):
    """A repository, revision or file that does not exist. `hub_code`: its kind, which clients read from a header."""

    def __init__(self, message: str, hub_code: str, *, commit: str | None = None) -> None:
        super().__init__(message)
        self.headers = {"x-error-code": hub_code} | ({"x-repo-commit": commit} if commit else {})


class HubRoute(APIRoute):
    """A route whose 404 responses have the hub's headers."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except HubNotFound as error:
                return error_response(request.scope, error, error.headers)

        return handle


class HubSibling(BaseModel):
    rfilename: str = Field(description="Path within the repository")
    size: int = Field(description="Size in bytes")


class HubModel(BaseModel):
    """A repository at one of its commits."""

    id: str
    sha: str = Field(description="Commit, which follows from the digests of the version's files")
    private: Literal[False] = Field(False, description="A field of the hub; always false")
    gated: Literal[False] = Field(False, description="A field of the hub; always false")
    disabled: Literal[False] = Field(False, description="A field of the hub; always false")
    tags: list[str] = Field(description="Library, format of the weights and architecture")
    pipeline_tag: str | None = Field(description="Task of the model in the hub's terms; null if the hub has none")
    library_name: Literal["transformers"] = Field("transformers", description="Library that loads the model")
    lastModified: str = Field(description="Time of the publication, in ISO 8601")  # noqa: N815
    siblings: list[HubSibling] = Field(description="Files of the version")


class HubContent(BaseModel):
    """The content of a file."""

    oid: str = Field(description="SHA-256 in hexadecimal")
    size: int = Field(description="Size in bytes")
    pointerSize: int = Field(0, description="A field of the hub; always 0")  # noqa: N815


class HubEntry(BaseModel):
    """A file or a folder of a repository."""

    type: Literal["file", "directory"] = Field(description="Type of the entry")
    path: str = Field(description="Path within the repository")
    oid: str = Field(description="Digest of the content, in hexadecimal")
    size: int = Field(description="Size in bytes; 0 for a folder")
    lfs: HubContent | None = Field(default=None, description="Content of a file")


class HubRef(BaseModel):
    """A name of a commit."""

    name: str = Field(description="Name of the branch or tag")
    ref: str = Field(description="Full name, such as `refs/heads/main`")
    targetCommit: str = Field(description="Commit that it stands for")  # noqa: N815


class HubRefs(BaseModel):
    """The names of a repository's commits."""

    branches: list[HubRef] = Field(description="Branches; `main` is the only one")
    tags: list[HubRef] = Field(description="Tags: the numbers of the versions, and the aliases")
    converts: list[HubRef] = Field([], description="A field of the hub; always empty")


router = APIRouter(route_class=HubRoute, tags=["Hugging Face"])


@router.get("/api/models/{model_id:path}/revision/{revision:path}")
def get_hub_revision(model_id: ModelId, revision: Revision, services: ServicesDep) -> HubModel:
    """Returns a model of the store as the hub describes a repository, at a revision."""
    entry, version = _find(services.store, model_id, revision)
    created = datetime.fromtimestamp(entry.manifest.created, UTC)
    return HubModel(
        id=entry.name,
        sha=version.commit,
        tags=["transformers", "safetensors", entry.manifest.architecture],
        pipeline_tag=_find_pipeline(entry.manifest),
        lastModified=f"{created:%Y-%m-%dT%H:%M:%S}.000Z",
        siblings=[HubSibling(rfilename=file.name, size=file.size) for file in version.files.values()],
    )


def _find_pipeline(manifest: Manifest) -> str | None:
    """Returns the model's task in the hub's terms. The head of a probe is unknown there."""
    if manifest.classifier is not None and HEAD not in manifest.files:
        of_tokens = manifest.classifier.type is ClassifierType.TOKENS
        return "token-classification" if of_tokens else "text-classification"
    return next((tag for task, tag in _PIPELINES.items() if task in manifest.tasks), None)


@router.get("/api/models/{model_id:path}/tree/{revision}/{folder:path}")
def list_hub_folder(
    model_id: ModelId,
    revision: Revision,
    folder: Annotated[str, Path(max_length=_MAX_PATH, description="Path of the folder within the repository")],
    services: ServicesDep,
    recursive: Annotated[bool, Query(description="Whether files of folders within the folder are listed too")] = False,
) -> list[HubEntry]:
    """Lists the files of a folder of a model of the store, as the hub does."""
    _, version = _find(services.store, model_id, revision)
    entries = _entries(version, f"{folder}/" if folder else "", recursive=recursive)
    if not entries:
        raise HubNotFound(f"{model_id[:200]!r} has no folder {folder[:200]!r}", "EntryNotFound", commit=version.commit)
    return entries


@router.get("/api/models/{model_id:path}/tree/{revision}")
def list_hub_files(
    model_id: ModelId,
    revision: Revision,
    services: ServicesDep,
    recursive: Annotated[bool, Query(description="Whether files of folders are listed too")] = False,
) -> list[HubEntry]:
    """Lists the files of a model of the store, as the hub does."""
    return _entries(_find(services.store, model_id, revision)[1], "", recursive=recursive)


@router.post("/api/models/{model_id:path}/paths-info/{revision}")
def find_hub_paths(
    model_id: ModelId,
    revision: Revision,
    services: ServicesDep,
    paths: Annotated[list[HubPath], Form(max_length=_MAX_PATHS, description="Paths of files and folders")],
) -> list[HubEntry]:
    """Returns those of the paths that a model of the store has, as the hub does."""
    _, version = _find(services.store, model_id, revision)
    folders = {"/".join(parts[:end]) for parts in (n.split("/") for n in version.files) for end in range(1, len(parts))}
    known = {path: _directory(path, version) for path in folders}
    known |= {name: _file(file) for name, file in version.files.items()}
    return [known[path] for path in paths if path in known]


@router.get("/api/models/{model_id:path}/refs")
def list_hub_refs(model_id: ModelId, services: ServicesDep) -> HubRefs:
    """Lists the revisions of a model of the store by name, as the hub does."""
    _, main = _find(services.store, model_id, MAIN)
    commits = {str(entry.version): list_files(entry).commit for entry in services.store.versions(model_id)}
    aliases = services.store.aliases(model_id)
    tags = commits | {name: commits[str(number)] for name, number in aliases.items() if str(number) in commits}
    return HubRefs(
        branches=[HubRef(name=MAIN, ref=f"refs/heads/{MAIN}", targetCommit=main.commit)],
        tags=[HubRef(name=name, ref=f"refs/tags/{name}", targetCommit=commit) for name, commit in tags.items()],
    )


@router.get("/api/models/{model_id:path}")
def get_hub_model(model_id: ModelId, services: ServicesDep) -> HubModel:
    """Returns a model of the store as the hub describes a repository, at `main`."""
    return get_hub_revision(model_id, MAIN, services)


@router.get("/{model_id:path}/resolve/{revision}/{file:path}", response_class=RangedFile, responses=FILE)
def get_hub_file(
    model_id: ModelId,
    revision: Revision,
    file: Annotated[str, Path(max_length=_MAX_PATH, description="Path of the file within the repository")],
    request: Request,
    services: ServicesDep,
) -> RangedFile:
    """Returns a file of a model of the store, or the part of it in `Range`."""
    if find_scope("GET", request.scope["path"]) == "open":  # `docs/…` is a path that needs no key, and no organisation
        raise HubNotFound(f"the model {model_id[:200]!r} does not exist here", "RepoNotFound")
    _, version = _find(services.store, model_id, revision)
    found = version.files.get(file)
    if found is None:
        raise HubNotFound(f"{model_id[:200]!r} has no file {file[:200]!r}", "EntryNotFound", commit=version.commit)
    headers = {
        "etag": f'"{found.sha256}"',
        "x-repo-commit": version.commit,
        "x-content-type-options": "nosniff",  # the page has the same origin, and files come from anywhere
    }
    name = file.rpartition("/")[2]
    return RangedFile(found.path, headers=headers, media_type="application/octet-stream", filename=name)


def _find(store: ModelStore, name: str, revision: str) -> tuple[ModelEntry, VersionFiles]:
    """Finds a version and its files. An alias `main` comes before the latest version. Raises HubNotFound."""
    try:
        versions = store.versions(name)
    except InvalidValue:
        versions = []
    if not versions:
        raise HubNotFound(f"the model {name[:200]!r} does not exist", "RepoNotFound")
    number = parse_version(revision) or store.aliases(name).get(revision)
    if number is None and revision in (MAIN, LATEST):
        number = versions[0].version
    for entry in versions:
        if entry.version == number:
            return entry, list_files(entry)
        if number is None and (files := list_files(entry)).commit == revision:
            return entry, files
    raise HubNotFound(f"{name!r} has no revision {revision[:100]!r}", "RevisionNotFound")


def _entries(version: VersionFiles, folder: str, *, recursive: bool) -> list[HubEntry]:
    """Lists the files of a folder, whose name ends with a slash, and the folders in it unless `recursive`."""
    found: dict[str, HubEntry] = {}
    for name, file in version.files.items():
        if name.startswith(folder):
            child, slash, _ = name.removeprefix(folder).partition("/")
            path = name if recursive else folder + child
            found[path] = _directory(path, version) if slash and not recursive else _file(file)
    return list(found.values())


def _file(file: VersionFile) -> HubEntry:
    content = HubContent(oid=file.sha256, size=file.size)
    return HubEntry(type="file", path=file.name, oid=file.sha256[:40], size=file.size, lfs=content)


def _directory(path: str, version: VersionFiles) -> HubEntry:
    return HubEntry(type="directory", path=path, oid=version.commit, size=0)
