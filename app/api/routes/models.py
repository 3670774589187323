"""/v1/models: the models of the store, and the ones in memory. Ids may contain slashes, also as %2F."""

import asyncio
import contextlib
import itertools

from fastapi import APIRouter, Request, Response

from app.api.deps import RightsDep, Services, ServicesDep
from app.api.openapi import TAR, errors
from app.api.ownership import viewer_of
from app.api.params import Alias, ModelId
from app.api.schemas.models import (
    AliasRequest,
    ModelDeleted,
    ModelExamples,
    ModelList,
    ModelObject,
    model_object,
)
from app.api.wire.body import StrictJsonRoute
from app.api.wire.ranges import stream_range
from app.errors import ModelNotFound, NotFound, NotReady
from app.jobs.connection import StorageError
from app.jobs.held_out import HeldOutText, read_held_out
from app.jobs.spec import Job
from app.jobs.viewer import Viewer
from app.modalities.text.tokenizers import keeps_space_before_mask
from app.store.archive import ModelArchive
from app.store.store import ModelEntry

_REPAIRED = b"""
## Repaired tokenizer

An earlier version of Cloze stored this model with a mask token that keeps the space before it. Cloze loads it with
`lstrip`, so that `is [MASK].` and `is[MASK].` are read alike. Other libraries need this change in `tokenizer.json`.
"""

_LISTED = 20  # evaluations in a card

router = APIRouter(route_class=StrictJsonRoute, tags=["Models"])


@router.get("/v1/models")
async def list_models(services: ServicesDep) -> ModelList:
    """Lists one entry per name, for its latest version. The default model comes first."""
    return ModelList(data=await asyncio.to_thread(_list, services, services.pool.memory()))


@router.post("/v1/models/{model_id:path}/load", responses=errors(409))
async def load_model(model_id: ModelId, services: ServicesDep) -> ModelObject:
    """Loads a model into memory before its first request."""
    await services.pool.get(model_id)
    return await _answer(model_id, services)


@router.post("/v1/models/{model_id:path}/unload")
async def unload_model(model_id: ModelId, services: ServicesDep) -> ModelObject:
    """Frees a model's memory once its requests have ended. The next request loads it again."""
    await services.pool.unload(model_id)
    return await _answer(model_id, services)


@router.put("/v1/models/{name:path}/aliases/{alias}", responses=errors(507))
async def set_alias(
    name: ModelId, alias: Alias, body: AliasRequest, services: ServicesDep, rights: RightsDep
) -> ModelObject:
    """Makes `name:alias` refer to this version."""
    await asyncio.to_thread(rights.check_publication, name)
    await asyncio.to_thread(services.store.set_alias, name, alias, body.version)
    return await _answer(f"{name}:{alias}", services)


@router.delete("/v1/models/{name:path}/aliases/{alias}")
async def remove_alias(name: ModelId, alias: Alias, services: ServicesDep, rights: RightsDep) -> ModelObject:
    """Removes an alias. Its version is kept."""
    await asyncio.to_thread(rights.check_publication, name)
    await asyncio.to_thread(services.store.remove_alias, name, alias)
    return await _answer(name, services)


@router.delete("/v1/models/{model_id:path}", responses=errors(409))
async def delete_model(model_id: ModelId, services: ServicesDep, rights: RightsDep) -> ModelDeleted:
    """Deletes one version, `name@version`, or all versions of a `name`. An unfinished job's models cannot be deleted.

    Requests that it is answering are answered yet; its memory is free when this returns.
    """

    def refuse(entries: list[ModelEntry]) -> None:
        rights.check_change(entries)
        if services.jobs is not None:
            services.jobs.check_unused(entry.id for entry in entries)

    gone = await asyncio.to_thread(services.store.delete, model_id, fence=refuse)
    # Unloaded after the deletion, so that no request can load it again.
    for entry in gone:
        with contextlib.suppress(ModelNotFound):  # it was not loaded
            await services.pool.unload(entry.id)
    return ModelDeleted(id=model_id)


@router.get(
    "/v1/models/{model_id:path}/card",
    response_class=Response,
    responses={200: {"content": {"text/markdown": {"schema": {"type": "string"}}}}},
)
async def get_card(request: Request, model_id: ModelId, services: ServicesDep) -> Response:
    """Returns the model's card (README.md) as Markdown, with its latest evaluations."""
    card = await asyncio.to_thread(_read_card, services, model_id, viewer_of(request.scope))
    return Response(card, media_type="text/markdown; charset=utf-8")


@router.get("/v1/models/{model_id:path}/examples")
async def get_examples(model_id: ModelId, services: ServicesDep) -> ModelExamples:
    """Returns held-out texts of the job that trained the model. The list is empty if this server has none."""

    def read() -> list[HeldOutText]:
        return read_held_out(services.settings.jobs_dir, services.store.resolve(model_id).manifest.job_id)

    return ModelExamples(data=await asyncio.to_thread(read))


@router.get("/v1/models/{model_id:path}/archive", response_class=Response, responses=TAR)
async def get_archive(model_id: ModelId, request: Request, services: ServicesDep) -> Response:
    """Returns the files of a version as an uncompressed tar. A download can be resumed with `Range`."""
    archive = await asyncio.to_thread(lambda: ModelArchive(services.store.resolve(model_id)))
    return stream_range(
        request,
        archive.read,
        size=archive.size,
        etag=f'"{archive.digest}"',
        media_type="application/x-tar",
        filename=archive.filename,
    )


@router.get("/v1/models/{model_id:path}")
async def get_model(model_id: ModelId, services: ServicesDep) -> ModelObject:
    """Returns one model by `name`, `name@version` or `name:alias`."""
    return await _answer(model_id, services)


async def _answer(model_id: str, services: Services) -> ModelObject:
    memory = services.pool.memory()
    model = await asyncio.to_thread(_get, model_id, services, memory)
    if not model.loaded:
        return model
    engine = await services.pool.get(f"{model.name}@{model.version}")
    return model.model_copy(update={"max_length": engine.model.max_length})


def _read_card(services: Services, model_id: str, viewer: Viewer) -> bytes:
    entry = services.store.resolve(model_id)
    try:
        card = (entry.path / "README.md").read_bytes()
    except FileNotFoundError:
        raise NotFound(f"{entry.id} has no card", param="model") from None
    card += _REPAIRED if keeps_space_before_mask(entry.path) else b""
    return card + _list_evaluations(services, entry, viewer).encode()


def _list_evaluations(services: Services, entry: ModelEntry, viewer: Viewer) -> str:
    """Returns a section with the latest evaluations of a version. The stored card never changes, so it has none."""
    jobs: list[Job] = []
    with contextlib.suppress(StorageError):  # the rest of the card is there without Redis
        if services.jobs is not None:
            jobs, _ = services.jobs.seen_by(viewer).list(kind="evaluation", model=entry.id, limit=_LISTED)
    lines = [f"- **{job.spec.name}** (`{job.id}`): {job.verdict.summary}" for job in jobs if job.verdict]
    return "\n".join(["\n## Evaluations\n", *lines, ""]) if lines else ""


def _get(model_id: str, services: Services, memory: dict[str, int]) -> ModelObject:
    return _describe(model_id, services.store.resolve(model_id), services, memory, _default_id(services))


def _list(services: Services, memory: dict[str, int]) -> list[ModelObject]:
    default = _default_id(services)
    latest = [next(versions) for _, versions in itertools.groupby(services.store.list(), lambda entry: entry.name)]
    models = [_describe(entry.name, entry, services, memory, default) for entry in latest]
    return sorted(models, key=lambda model: not model.default)  # stable: the rest stays by name


def _describe(
    model_id: str, entry: ModelEntry, services: Services, memory: dict[str, int], default: str | None
) -> ModelObject:
    return model_object(
        model_id,
        entry,
        versions=[each.version for each in services.store.versions(entry.name)],
        aliases=services.store.aliases(entry.name),
        memory_bytes=memory.get(entry.id),
        servers=None if services.placement is None else services.placement.servers_of(entry.name),
        default=entry.id == default,
    )


def _default_id(services: Services) -> str | None:
    try:
        return services.pool.default_id()
    except (NotReady, ModelNotFound):  # the store is empty, or lacks the model that is set
        return None
