"""GET /v1/pretraining/methods: what a job may be asked for."""

from fastapi import APIRouter

from app.api.schemas.methods import MethodList, method_object
from app.methods import METHODS

router = APIRouter(prefix="/v1/pretraining/methods", tags=["Pretraining jobs"])


@router.get("")
def list_methods() -> MethodList:
    """Every method with its presets and its hyperparameters as a JSON Schema. Needs neither Redis nor a model."""
    return MethodList(data=[method_object(name, method) for name, method in METHODS.items()])
