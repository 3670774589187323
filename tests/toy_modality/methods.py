"""What a job may ask for."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from app.errors import InvalidValue
from app.methods import Method
from app.methods.image import decoder, vit
from app.methods.patches import DECODER, DecoderHyperparameters, refuse_fixed

NAME = "sensor"
PATCH = 4  # readings and sensors of a patch


class SensorHyperparameters(DecoderHyperparameters):
    """Masked autoencoders that read sensors."""

    window_readings: int | None = Field(
        None,
        ge=2 * PATCH,
        le=4096,
        multiple_of=PATCH,
        description="Readings that the model sees at once; the preset's",
        json_schema_extra={"group": "architecture"},
    )
    mask_strategy: Literal["random", "span"] | None = Field(
        None, description="Single patches, or one span of time; the model's own"
    )

    def check_for(self, config: Mapping[str, Any] | None) -> None:
        if config is None:
            refuse_fixed(self, ("window_readings", *DECODER))
        elif self.mask_ratio is not None and self.mask_ratio > 0.95:
            raise InvalidValue("a mask_ratio above 0.95 leaves too few readings", param="mask_ratio")


PRESETS = {"sensor-tiny": vit("vit_mae", 2, 64, (64, 8), PATCH) | decoder(1, 64) | {"num_channels": 1}}

METHODS = {"sensormae": Method(NAME, SensorHyperparameters, PRESETS, frozenset({"vit_mae"}))}
