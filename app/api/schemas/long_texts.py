"""The options of tasks that read texts longer than the model in windows."""

from typing import Literal

from pydantic import Field, model_validator

from app.api.schemas.common import MAX_COUNT, ModelChoice, Truncate
from app.errors import InvalidValue


class LongTextOptions(ModelChoice):
    """The options for a text that is longer than the model reads."""

    truncate: Truncate = False
    overflow: Literal["windows"] | None = Field(
        None,
        description="`windows` reads a text that is longer than the model in windows that overlap. Each position is"
        " predicted in the window in which it has most context on both sides",
    )
    stride: int | None = Field(
        None,
        ge=0,
        le=MAX_COUNT,
        description="With `overflow`: number of tokens that neighbouring windows have in common; by default, half of a"
        " window",
    )

    @model_validator(mode="after")
    def _check_overflow(self) -> "LongTextOptions":
        if self.overflow is not None and self.truncate:
            raise InvalidValue("`overflow` reads all of a text, and `truncate` cuts it", param="overflow")
        if self.overflow is None and self.stride is not None:
            raise InvalidValue('`stride` is of the windows of `"overflow": "windows"`', param="stride")
        return self
