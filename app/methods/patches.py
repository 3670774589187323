"""Hyperparameters of the methods that mask patches."""

from collections.abc import Iterable
from typing import Any

from pydantic import Field, model_validator

from app.errors import InvalidValue
from app.methods.base import MAX_COUNT, MediaHyperparameters, Schedule

DECODER = ("decoder_layers", "decoder_hidden_size")  # fixed in a stored model
VIEWS = 2  # of each item, for the contrastive loss


class PatchHyperparameters(MediaHyperparameters):
    """Hyperparameters of all methods that mask patches.

    Defaults that differ from the shared ones are those of masked autoencoders (arXiv 2111.06377, appendix A.1).
    """

    schedule: Schedule = Field("cosine", description="Learning-rate schedule after the warmup")
    weight_decay: float = Field(0.05, ge=0, le=1, description="Weight decay of AdamW. Biases and norms do not decay")
    adam_beta2: float = Field(
        0.95, ge=0, lt=1, description="Second beta of AdamW: the decay of the mean of the squared gradients"
    )
    max_eval_samples: int = Field(
        256,
        ge=1,
        le=MAX_COUNT,
        description="Maximum number of held-out samples that an evaluation reads, the same each time",
    )

    mask_ratio: float | None = Field(
        None, gt=0, lt=1, description="Share of the patches to mask and predict; the model's own"
    )
    contrast_weight: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="Weight of a contrastive loss between two views of each sample of a micro-batch. 0 disables it",
    )

    @model_validator(mode="after")
    def _check_views(self) -> "PatchHyperparameters":
        if self.contrast_weight and self.batch_size < 2 * self.micro_batches:
            raise ValueError("a contrast_weight needs micro-batches of at least two samples, which the loss compares")
        return self

    @property
    def views(self) -> int:
        """The number of views of each sample that a step computes."""
        return VIEWS if self.contrast_weight else 1


class DecoderHyperparameters(PatchHyperparameters):
    """Hyperparameters of methods whose models have ViTMAE's decoder."""

    decoder_layers: int | None = Field(
        None, ge=1, le=32, description="Number of layers of a preset's decoder; the preset's"
    )
    decoder_hidden_size: int | None = Field(
        None, ge=32, le=4096, multiple_of=32, description="Width of a preset's decoder, a multiple of 32; the preset's"
    )
    norm_pix_loss: bool | None = Field(
        None,
        description="Predict each patch normalized by its own mean and deviation: better features, worse pictures;"
        " the model's own",
    )


def settings_of(hyperparameters: PatchHyperparameters) -> dict[str, Any]:
    """Returns the hyperparameters that become fields of the model's configuration, so that it is used as trained."""
    names = ("mask_ratio", "mask_strategy", "norm_pix_loss")
    values = {name: getattr(hyperparameters, name, None) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def refuse_fixed(hyperparameters: PatchHyperparameters, names: Iterable[str]) -> None:
    """Raises InvalidValue if one of these is given for a stored model, which has its own."""
    for name in names:
        if getattr(hyperparameters, name, None) is not None:
            raise InvalidValue(f"`{name}` is fixed in a stored model and can only be set for a preset", param=name)
