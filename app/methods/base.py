"""Hyperparameters that every pretraining method shares."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.types import Modality

MAX_STEPS, MAX_TOKENS = 100_000_000, 10**15
MAX_MODEL_ID = 256  # characters
MAX_COUNT = 10**9

Steps = Annotated[int, Field(ge=1, le=MAX_STEPS)]
_OPENAI_NAMES = ("n_epochs", "batch_size")

Schedule = Literal["linear", "cosine", "warmup-stable-decay"]


class TrainingHyperparameters(BaseModel):
    """Hyperparameters of every method. `None` is chosen for the job, as the description says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    MODEL_FIELDS: ClassVar[tuple[str, ...]] = ()  # those that name a stored model

    # The run ends at whichever of these comes first; with none of them, after one epoch.
    max_steps: Steps | None = Field(None, description="Optimiser steps")
    epochs: float | None = Field(None, gt=0, le=10_000, description="Passes over the training data; fractions are fine")
    max_tokens: int | None = Field(
        None,
        ge=1,
        le=MAX_TOKENS,
        description="Tokens trained on, without padding; of media, all patches of the samples",
    )
    max_minutes: float | None = Field(None, gt=0, le=525_600, description="Minutes of training, over all attempts")

    learning_rate: float | None = Field(
        None, gt=0, le=1, description="Peak of AdamW's learning rate; 5e-4 from scratch, else 2e-4"
    )
    head_learning_rate: float | None = Field(
        None, gt=0, le=1, description="The same for what is not the encoder; learning_rate, ×5 for a new head"
    )
    schedule: Schedule = Field("linear", description="Learning-rate schedule after the warmup")
    warmup_ratio: float = Field(0.06, ge=0, lt=1, description="Share of the run in which the rate rises from zero")
    decay_ratio: float = Field(0.2, gt=0, le=1, description="Last share of the run in which warmup-stable-decay falls")
    weight_decay: float = Field(0.01, ge=0, le=1, description="AdamW's; biases and norms do not decay")
    adam_beta1: float = Field(0.9, ge=0, lt=1, description="AdamW's decay of the gradients' mean")
    adam_beta2: float = Field(0.98, ge=0, lt=1, description="AdamW's decay of the gradients' squares")
    max_grad_norm: float = Field(1.0, gt=0, le=1000, description="Gradients are clipped to this norm")
    gradient_accumulation_steps: int = Field(
        1, ge=1, le=1024, description="Micro-batches that a step's batch is cut into, to save memory"
    )
    processes: int = Field(
        1,
        ge=1,
        le=64,
        description="Number of processes that train together, each on its own GPU or its share of the CPU cores",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="Precision of training; auto is bfloat16 if the hardware computes in it"
    )
    compile: bool = Field(
        False, description="Compiles the encoder; needs a C++ compiler on the CPU, pays off in long runs"
    )
    seed: int = Field(
        0, ge=0, lt=2**32, description="Seed of everything random: data order, masks, held-out share, new weights"
    )

    log_interval: Steps | None = Field(
        None, description="Steps between training metrics; a fiftieth of the run, at most 10"
    )
    eval_interval: Steps | None = Field(None, description="Steps between held-out metrics; a tenth of the run")
    checkpoint_interval: Steps | None = Field(
        None, description="Steps between checkpoints, which a killed job resumes from; each evaluation, at most 500"
    )
    keep_checkpoints: int = Field(2, ge=1, le=100, description="Older checkpoints are deleted, but the best")
    validation_fraction: float = Field(
        0.02, gt=0, lt=1, description="Share of the data held out where no validation file is given"
    )
    max_eval_samples: int = Field(
        512, ge=1, le=MAX_COUNT, description="Held-out samples that an evaluation reads, the same each time"
    )
    early_stopping_patience: int | None = Field(
        None,
        ge=1,
        le=MAX_COUNT,
        description="Ends the run after so many evaluations in a row without a lower eval_loss; off",
    )
    early_stopping_min_delta: float = Field(
        0.0, ge=0, description="Least decrease of eval_loss that counts as an improvement"
    )
    export_dtype: Literal["float32", "bfloat16"] = Field("float32", description="Precision of the published weights")

    @model_validator(mode="before")
    @classmethod
    def _accept_openai_names(cls, data: Any) -> Any:
        """OpenAI's conventions: "auto" and null mean unset, and `n_epochs` is our `epochs`.

        An unknown name stays, whatever its value, and is refused.
        """
        if not isinstance(data, Mapping):
            return data
        known = {*cls.model_fields, *_OPENAI_NAMES}
        values = {k: v for k, v in data.items() if k not in known or (v is not None and v != "auto")}
        if "n_epochs" in values:
            values.setdefault("epochs", values.pop("n_epochs"))
        return values

    @property
    def most_checkpoints(self) -> int:
        """The most checkpoints on disk at once: newest, best, before the decay, and the one being written."""
        before_decay = self.schedule == "warmup-stable-decay"
        return self.keep_checkpoints + (self.early_stopping_patience is not None) + before_decay + 1

    @classmethod
    def defaults_for(cls, stored: Mapping[str, Any]) -> dict[str, Any]:
        """The defaults that are others for a stored model. stored: its configuration, as for `check_stored`."""
        return {}

    def check_stored(self, stored: Mapping[str, Any] | None, named: Mapping[str, Mapping[str, Any]]) -> None:
        """Raises InvalidValue where what was given does not suit the stored models of the job.

        stored: the configuration of the model that is continued, with `model_max_length` of its tokenizer; None for a
        preset. named: the same of the models that fields of MODEL_FIELDS name, by field.
        """

    def check_for(self, config: Mapping[str, Any] | None) -> None:
        """Raises InvalidValue where what was given does not suit this preset, or (None) a stored model."""


@dataclass(frozen=True)
class Method:
    modality: Modality
    hyperparameters: type[TrainingHyperparameters]
    presets: Mapping[str, Mapping[str, Any]]  # name → config of a model built from scratch
    architectures: frozenset[str] = frozenset()  # of stored models that it continues; none named: all of the modality
