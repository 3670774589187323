"""Descriptions of the pretraining methods, from which clients can build forms."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from app.api.schemas.modality import Modality
from app.methods import Method
from app.methods.groups import GROUPS, group_of


class PresetObject(BaseModel):
    id: str
    config: dict[str, Any] = Field(
        description="Configuration of the model; its values are the defaults of hyperparameters of the same name"
    )


class MethodObject(BaseModel):
    id: str = Field(description="Name of the method, which is `method.type` of a job")
    object: Literal["pretraining.method"] = "pretraining.method"
    modality: Modality
    description: str = Field(description="The method in words")
    presets: list[PresetObject] = Field(description="Presets of models that are trained from scratch, smallest first")
    architectures: list[str] = Field(
        description="Architectures of stored models that the method continues; empty for all of the modality"
    )
    groups: list[str] = Field(
        description="Groups of hyperparameters, in order; those of `architecture` are for presets"
    )
    hyperparameters: dict[str, Any] = Field(
        description="JSON Schema of the hyperparameters, with their defaults and the `group` of each. If a default is"
        " null, the text after the last semicolon of the description says how the value is chosen"
    )


class MethodList(BaseModel):
    object: Literal["list"] = "list"
    data: list[MethodObject]


def method_object(name: str, method: Method) -> MethodObject:
    schema = method.hyperparameters.model_json_schema()
    properties = {
        field: {**rest, "group": rest.get("group") or group_of(field)} for field, rest in schema["properties"].items()
    }
    used = {rest["group"] for rest in properties.values()}
    return MethodObject(
        id=name,
        modality=method.modality,
        description=schema["description"].partition("\n")[0],
        presets=[PresetObject(id=preset, config=dict(config)) for preset, config in method.presets.items()],
        architectures=sorted(method.architectures),
        groups=[group for group in GROUPS if group in used],
        hyperparameters={**schema, "properties": properties},
    )
