"""/v1/models: what the store holds and what is in memory. Ids may hold slashes, plain or as %2F."""

import asyncio
import itertools

from fastapi import APIRouter

from app.api.deps import Services, ServicesDep
from app.api.schemas.models import ModelList, ModelObject, model_object
from app.errors import ModelNotFound, NotReady
from app.store.store import ModelEntry

router = APIRouter(tags=["Models"])


@router.get("/v1/models")
async def list_models(services: ServicesDep) -> ModelList:
    """One entry a name, standing for its latest version; the default model first."""
    return ModelList(data=await asyncio.to_thread(_list, services, services.pool.loaded()))


@router.post("/v1/models/{model_id:path}/load")
async def load_model(model_id: str, services: ServicesDep) -> ModelObject:
    """Loads the model into memory ahead of its first request."""
    await services.pool.load(model_id)
    return await _answer(model_id, services)


@router.post("/v1/models/{model_id:path}/unload")
async def unload_model(model_id: str, services: ServicesDep) -> ModelObject:
    """Frees the model's memory, once its requests have ended. The next request loads it again."""
    await services.pool.unload(model_id)
    return await _answer(model_id, services)


@router.get("/v1/models/{model_id:path}")
async def get_model(model_id: str, services: ServicesDep) -> ModelObject:
    """One model, by `name`, `name@version` or `name:alias`."""
    return await _answer(model_id, services)


async def _answer(model_id: str, services: Services) -> ModelObject:
    loaded = services.pool.loaded()
    model = await asyncio.to_thread(_get, model_id, services, loaded)
    if not model.loaded:
        return model
    engine = await services.pool.get(f"{model.name}@{model.version}")
    return model.model_copy(update={"max_length": getattr(engine.objective, "max_length", None)})


def _get(model_id: str, services: Services, loaded: list[str]) -> ModelObject:
    return _describe(model_id, services.store.resolve(model_id), services, loaded, _default_id(services))


def _list(services: Services, loaded: list[str]) -> list[ModelObject]:
    default = _default_id(services)
    latest = [next(versions) for _, versions in itertools.groupby(services.store.list(), lambda entry: entry.name)]
    models = [_describe(entry.name, entry, services, loaded, default) for entry in latest]
    return sorted(models, key=lambda model: not model.default)  # stable: the rest stays by name


def _describe(
    model_id: str, entry: ModelEntry, services: Services, loaded: list[str], default: str | None
) -> ModelObject:
    return model_object(
        model_id,
        entry,
        versions=[each.version for each in services.store.versions(entry.name)],
        aliases=services.store.aliases(entry.name),
        loaded=entry.id in loaded,
        default=entry.id == default,
    )


def _default_id(services: Services) -> str | None:
    try:
        return services.pool.default_id()
    except (NotReady, ModelNotFound):  # the store is empty, or lacks the model that is set
        return None
