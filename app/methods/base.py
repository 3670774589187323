"""Hyperparameters that every pretraining method shares."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, LiteralString

from pydantic import ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from app.methods.early_stopping import EarlyStoppingMetric
from app.validation import JsonModel

SCRATCH_LEARNING_RATE = 5e-4  # by default, for presets
MAX_STEPS, MAX_TOKENS = 100_000_000, 10**15
MAX_MODEL_ID = 256  # characters
MAX_COUNT = 10**9

Steps = Annotated[int, Field(ge=1, le=MAX_STEPS)]
# OpenAI's names of hyperparameters, for methods that have no hyperparameter of that name.
OPENAI_NAMES = {"n_epochs": "epochs", "batch_size": "batch_tokens"}

Schedule = Literal["linear", "cosine", "warmup-stable-decay"]


def is_unset(value: Any) -> bool:
    """Returns whether a value of a hyperparameter lets the job choose: null, or OpenAI's "auto"."""
    return value is None or value == "auto"


def rename(values: Mapping[str, Any], alias: str, name: str) -> dict[str, Any]:
    """Returns hyperparameters with the value of `alias` under `name`. Raises ValidationError if both are set."""
    renamed = dict(values)
    if alias not in renamed:
        return renamed
    if not is_unset(renamed.get(name)):
        message = "it means the same as {name}, and both are set"
        raise field_error(alias, renamed[alias], PydanticCustomError("value_error", message, {"name": name}))
    renamed[name] = renamed.pop(alias)
    return renamed


def field_error(name: str, value: object, kind: LiteralString | PydanticCustomError) -> ValidationError:
    """Returns the error of one field, for validators of whole models. kind: also one of pydantic's own errors."""
    return ValidationError.from_exception_data("hyperparameters", [{"type": kind, "loc": (name,), "input": value}])


class TrainingHyperparameters(JsonModel):
    """Hyperparameters of every method.

    `None` lets the job choose. What it then chooses stands after the semicolon of the description.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    MODEL_FIELDS: ClassVar[tuple[str, ...]] = ()  # the fields that name a stored model
    CONTINUE_LEARNING_RATE: ClassVar[float] = 2e-4  # the default for stored models

    # The run ends at the first of these limits, or after one epoch if none is set.
    max_steps: Steps | None = Field(None, description="Optimizer steps after which the run ends")
    epochs: float | None = Field(
        None, gt=0, le=10_000, description="Passes over the training data after which the run ends. May be a fraction"
    )
    max_tokens: int | None = Field(
        None,
        ge=1,
        le=MAX_TOKENS,
        description="Tokens after which the run ends, without padding. For media, all patches of the samples",
    )
    max_minutes: float | None = Field(
        None, gt=0, le=525_600, description="Minutes of training after which the run ends, over all attempts"
    )

    learning_rate: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Peak learning rate of AdamW; 2e-4 for stored models, 5e-4 for presets, up to 2e-3 for ModernBERT",
    )
    head_learning_rate: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Peak learning rate of all weights outside the encoder; learning_rate, ×5 for a new head",
    )
    find_lr: bool = Field(
        False,
        description="Test learning rates before the training, and train with the best: up to 100 steps that count"
        " towards no limit. Instead of learning_rate",
    )
    schedule: Schedule = Field("linear", description="Learning-rate schedule after the warmup")
    warmup_ratio: float = Field(
        0.06, ge=0, lt=1, description="Share of the run in which the learning rate rises from zero"
    )
    decay_ratio: float = Field(
        0.2,
        gt=0,
        le=1,
        description="Last share of the run, in which warmup-stable-decay lowers the learning rate to zero",
    )
    weight_decay: float = Field(0.01, ge=0, le=1, description="Weight decay of AdamW. Biases and norms do not decay")
    adam_beta1: float = Field(
        0.9, ge=0, lt=1, description="First beta of AdamW: the decay of the mean of the gradients"
    )
    adam_beta2: float = Field(
        0.98, ge=0, lt=1, description="Second beta of AdamW: the decay of the mean of the squared gradients"
    )
    max_grad_norm: float = Field(
        1.0, gt=0, le=1000, description="Maximum norm of the gradients. Larger gradients are clipped to it"
    )
    gradient_accumulation_steps: int = Field(
        1, ge=1, le=1024, description="Micro-batches into which the batch of a step is divided, to save memory"
    )
    processes: int = Field(
        1,
        ge=1,
        le=64,
        description="Number of processes that train together, each on its own GPU or its share of the CPU cores",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="Precision of the forward pass. auto is bfloat16 if the hardware computes in it, else float32",
    )
    compile: bool = Field(
        False, description="Compile the encoder. Needs a C++ compiler on the CPU, and pays off on long runs"
    )
    seed: int = Field(
        0, ge=0, lt=2**32, description="Seed of all random numbers: data order, masks, held-out share, new weights"
    )

    log_interval: Steps | None = Field(
        None, description="Steps between metrics of the training batches; a fiftieth of the run, at most 10"
    )
    eval_interval: Steps | None = Field(
        None, description="Steps between evaluations on held-out data; a tenth of the run, by whatever ends it"
    )
    checkpoint_interval: Steps | None = Field(
        None,
        description="Steps between checkpoints, from which a killed job resumes; each evaluation, at most 500 steps",
    )
    keep_checkpoints: int = Field(
        2, ge=1, le=100, description="Number of newest checkpoints to keep. Older ones are deleted, except the best"
    )
    validation_fraction: float = Field(
        0.02, gt=0, lt=1, description="Share of the data that is held out if there is no validation file"
    )
    max_eval_samples: int = Field(
        512,
        ge=1,
        le=MAX_COUNT,
        description="Maximum number of held-out samples that an evaluation reads, the same each time",
    )
    early_stopping_patience: int | None = Field(
        None,
        ge=1,
        le=MAX_COUNT,
        description="Evaluations in a row without an improvement after which the run ends; no early stopping",
    )
    early_stopping_min_delta: float = Field(
        0.0, ge=0, description="Smallest change of early_stopping_metric that counts as an improvement"
    )
    early_stopping_metric: EarlyStoppingMetric = Field(
        "eval_loss",
        description="Metric that has to improve. eval_probe is the score of the first evaluation that the job runs at"
        " intervals",
    )
    export_dtype: Literal["float32", "bfloat16"] = Field("float32", description="Data type of the published weights")

    @field_validator("find_lr")
    @classmethod
    def _check_rates(cls, value: bool, info: ValidationInfo) -> bool:
        for name in ("learning_rate", "head_learning_rate"):
            if value and info.data.get(name) is not None:
                raise ValueError(f"it chooses the learning rates, so {name} cannot be set too")
        return value

    @model_validator(mode="before")
    @classmethod
    def _accept_openai_names(cls, data: Any) -> Any:
        """Accepts OpenAI's conventions: "auto" and null mean unset, and `n_epochs` is `epochs`.

        Unknown names are kept, whatever their values, so that validation refuses them.
        """
        if not isinstance(data, Mapping):
            return data
        known = {*cls.model_fields, *OPENAI_NAMES}
        values = {name: value for name, value in data.items() if name not in known or not is_unset(value)}
        return rename(values, "n_epochs", "epochs")

    @property
    def most_checkpoints(self) -> int:
        """The maximum number of checkpoints on the disk at once."""
        count = self.keep_checkpoints + 1  # the newest ones, and the one that is being written
        if self.early_stopping_patience is not None:
            count += 1  # the best
        if self.schedule == "warmup-stable-decay":
            count += 1  # the one before the decay
        return count

    @classmethod
    def scratch_learning_rate(cls, config: Mapping[str, Any]) -> float:
        """Returns the default learning rate of a preset. config: that of its model."""
        return SCRATCH_LEARNING_RATE

    @classmethod
    def defaults_for(cls, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the defaults that differ for a stored model. stored: its configuration, as for `check_stored`."""
        return {}

    def check_stored(self, stored: Mapping[str, Any] | None, named: Mapping[str, Mapping[str, Any]]) -> None:
        """Checks the hyperparameters against the stored models of the job.

        Args:
            stored: The configuration of the model that is continued, with `model_max_length` of its tokenizer. None for
                a preset.
            named: The same for each model that a field of MODEL_FIELDS names, by field.

        Raises:
            InvalidValue: A value does not suit one of the models.
        """

    def check_for(self, config: Mapping[str, Any] | None) -> None:
        """Raises InvalidValue if a value does not suit the preset of this configuration, or a stored model (None)."""


class MediaHyperparameters(TrainingHyperparameters):
    """Hyperparameters of all methods that train on media files."""

    batch_size: int = Field(64, ge=1, le=65_536, description="Samples of an optimizer step, over all micro-batches")
    max_broken_share: float = Field(
        0.5, ge=0, le=1, description="Maximum share of damaged files in the data. The job fails beyond it"
    )

    @model_validator(mode="after")
    def _check_micro_batches(self) -> "MediaHyperparameters":
        if self.batch_size < self.micro_batches:
            raise ValueError(
                f"a batch_size of {self.batch_size} cannot be divided into {self.micro_batches} micro-batches"
            )
        return self

    @property
    def micro_batches(self) -> int:
        """The number of micro-batches of a step, over all processes."""
        return self.gradient_accumulation_steps * self.processes


@dataclass(frozen=True)
class Method:
    """A training objective, with its hyperparameters and presets."""

    modality: str
    hyperparameters: type[TrainingHyperparameters]
    presets: Mapping[str, Mapping[str, Any]]  # name → configuration of a model that is trained from scratch
    architectures: frozenset[str] = frozenset()  # of the stored models that it continues; empty: all of the modality
    predicts: bool = True  # whether its models predict what is masked, and not only embed
