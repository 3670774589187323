"""GET /v1/pretraining/methods: the training methods with their presets and hyperparameters."""

from fastapi import APIRouter

from app.api.schemas.methods import MethodList, method_object
from app.methods import METHODS

router = APIRouter(prefix="/v1/pretraining/methods", tags=["Pretraining jobs"])


@router.get("")
def list_methods() -> MethodList:
    """Lists all methods with their presets, and their hyperparameters as a JSON Schema. Needs no Redis and no model."""
    return MethodList(data=[method_object(name, method) for name, method in METHODS.items()])
