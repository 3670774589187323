"""The name of a modality in answers."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from app.types import ModalityName

# The class that clients are generated with: its name and values are those of the OpenAPI document.
_Documented = StrEnum("Modality", [(each.name, each.value) for each in ModalityName])  # type: ignore[misc]


class _NamedAsEnum:
    """Documents a string as one of the built-in names; those of registered modalities are valid, too."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_wrap_validator_function(
            lambda value, validate: str(value),
            handler.generate_schema(_Documented),
            serialization=core_schema.plain_serializer_function_ser_schema(str),
        )


Modality = Annotated[str, _NamedAsEnum()]
