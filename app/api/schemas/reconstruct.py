"""Bodies of `POST /v1/reconstruct`."""

import base64
from typing import Annotated, Any, ClassVar, Literal

import orjson
from pydantic import BaseModel, BeforeValidator, FailFast, Field, WithJsonSchema, model_validator
from pydantic_core import from_json

from app.api.media_inputs import media
from app.api.schemas.common import ModelChoice, Usage, usage
from app.errors import InvalidValue
from app.inference.remote_media import RemoteMedia
from app.inference.service import Answer
from app.modalities.descriptor import Rendering
from app.modalities.reconstruction import MaskRequest, ReconstructItem, ReconstructResult
from app.types import Task

MAX_REGIONS = 1000


MediaInput = Annotated[
    Any,
    BeforeValidator(media),
    WithJsonSchema({"type": "string", "description": "The file: a data URI, or base64; or a typed input"}),
]
_Number = Annotated[float, Field(strict=True)]
Boxes = Annotated[tuple[tuple[_Number, _Number, _Number, _Number], ...], FailFast(), Field(max_length=MAX_REGIONS)]
Ranges = Annotated[tuple[tuple[_Number, _Number], ...], FailFast(), Field(max_length=MAX_REGIONS)]


class MaskFields(ModelChoice):
    """The mask of a reconstruction: random, boxes and ranges, or an explicit grid."""

    task: ClassVar[Task] = Task.RECONSTRUCT

    mask_strategy: str | None = Field(
        None,
        max_length=64,
        description="Strategy of the random mask; by default that of the model. Images: `random`, `block`, `square`; "
        "sounds: `random`, `time`, `frequency`, `time-frequency`; videos: `tube`, `random`, `frame`",
    )
    mask_ratio: Annotated[float, Field(strict=True, gt=0, lt=1)] | None = Field(
        None, description="Share of the patches to mask; by default that of the model's training"
    )
    seed: Annotated[int, Field(strict=True)] | None = Field(
        None, ge=0, lt=2**32, description="Seed of the random mask; 0 by default"
    )
    boxes: Boxes = Field((), description="Boxes to mask, `[left, top, right, bottom]` in pixels of the upright item")
    ranges: Ranges = Field((), description="Ranges to mask, `[start, end]` in seconds")
    mask: list[Any] | None = Field(
        None, description="Mask as 0 or 1 for each patch, nested like `mask` of the response; 1 is masked"
    )

    @model_validator(mode="after")
    def _check_one_way(self) -> "MaskFields":
        drawn = any(value is not None for value in (self.mask_strategy, self.mask_ratio, self.seed))
        if drawn + bool(self.boxes or self.ranges) + (self.mask is not None) > 1:
            raise ValueError(
                "give the mask in one way: mask_strategy, mask_ratio and seed; or boxes and ranges; or mask"
            )
        return self

    def to_item(self, content: bytes) -> ReconstructItem:
        return ReconstructItem(
            content,
            MaskRequest(
                strategy=self.mask_strategy,
                ratio=self.mask_ratio,
                seed=self.seed or 0,
                boxes=self.boxes,
                ranges=self.ranges,
                grid=self.mask,
            ),
        )

    def write(self, modality: str, rendering: Rendering, answer: Answer[ReconstructResult]) -> bytes:
        """Returns the answer in JSON. rendering: of the model's modality."""
        (result,) = answer.results
        return orjson.dumps(
            {
                "object": "reconstruction",
                "model": answer.model,
                "modality": modality,
                "mask": result.mask.astype(int).tolist(),
                "loss": result.loss,
                "psnr": result.psnr,
                "baselines": dict(result.baselines),
                "media": {
                    name: {"media_type": kind, "data": base64.b64encode(render(result)).decode("ascii")}
                    for name, (kind, render) in rendering.parts.items()
                },
                "usage": usage(result.tokens),
            }
        )


# Fields of a form are strings. These hold JSON, of the kind that is named to the user.
_JSON_FIELDS = {
    "boxes": "a list, in JSON",
    "ranges": "a list, in JSON",
    "mask": "a list, in JSON",
    "mask_ratio": "a number",
    "seed": "an integer",
}


class MaskForm(MaskFields):
    """The same as fields of a form; an empty field is an absent one."""

    @model_validator(mode="before")
    @classmethod
    def _parse(cls, data: dict[str, str]) -> dict[str, Any]:
        return {name: _parse_field(name, text) for name, text in data.items() if text or name not in cls.model_fields}


def _parse_field(name: str, text: str) -> Any:
    if name not in _JSON_FIELDS:
        return text
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidValue(f"`{name}` should be {_JSON_FIELDS[name]}: {error}", param=name) from error


class ReconstructRequest(MaskFields):
    input: MediaInput

    @property
    def content(self) -> bytes | RemoteMedia:
        found: bytes | RemoteMedia = self.input
        return found


class Baselines(BaseModel):
    mean: float = Field(description="PSNR in dB of the mean of the visible values")
    interpolation: float = Field(description="PSNR in dB of smooth interpolation from the visible values")


class MediaObject(BaseModel):
    media_type: str = Field(description="Media type of the file")
    data: str = Field(description="Content of the file in base64")


class ReconstructResponse(BaseModel):
    object: Literal["reconstruction"] = "reconstruction"
    model: str
    modality: str
    mask: list[Any] = Field(description="Grid of patches, nested; 1 is masked")
    loss: float = Field(description="Loss of the model over the masked patches")
    psnr: float = Field(description="Peak signal-to-noise ratio in dB over the masked patches")
    baselines: Baselines = Field(description="PSNR of two predictions without a model")
    media: dict[str, MediaObject] = Field(description="Files that show the reconstruction, by name")
    usage: Usage


_PICTURE = (  # 32 × 32 pixels, a gradient
    "data:image/webp;base64,UklGRnAAAABXRUJQVlA4IGQAAAAwAwCdASogACAABABoJbACdMoRwN7XTAAas+2qTzcPQ44AA"
    "P7rrdW+Rmnb+ucwQpU9TLuQ4e/+WZfWaC3xJz+I2h1VZqi0bLD+pcclqkeJJ2dvqBSk8l+DyITOGdIYbOI+MAAA"
)

EXAMPLES = {
    "random": {
        "summary": "A picture, masked as the model was trained",
        "value": {"model": "cloze-image", "input": _PICTURE},
    },
    "box": {
        "summary": "A box is masked",
        "value": {"model": "cloze-image", "input": _PICTURE, "boxes": [[8, 8, 24, 24]]},
    },
}
