"""What every method of pretraining shares."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.types import Modality

Steps = Annotated[int, Field(ge=1, le=100_000_000)]


class TrainingHyperparameters(BaseModel):
    """What every method shares. `None` means: chosen for the job, as the comment says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    MODEL_FIELDS: ClassVar[tuple[str, ...]] = ()  # those that name a stored model

    # The run ends at whichever of these comes first; with none of them, after one epoch.
    max_steps: Steps | None = None
    epochs: float | None = Field(None, gt=0, le=10_000)
    max_tokens: int | None = Field(None, ge=1)
    max_minutes: float | None = Field(None, gt=0, le=525_600)

    learning_rate: float | None = Field(None, gt=0, le=1)  # 5e-4 from scratch, 2e-4 otherwise
    head_learning_rate: float | None = Field(None, gt=0, le=1)  # learning_rate; ×5 for a new head
    schedule: Literal["linear", "cosine", "warmup-stable-decay"] = "linear"
    warmup_ratio: float = Field(0.06, ge=0, lt=1)
    decay_ratio: float = Field(0.2, gt=0, le=1)  # the last part of warmup-stable-decay
    weight_decay: float = Field(0.01, ge=0, le=1)
    adam_beta1: float = Field(0.9, ge=0, lt=1)
    adam_beta2: float = Field(0.98, ge=0, lt=1)
    max_grad_norm: float = Field(1.0, gt=0, le=1000)
    gradient_accumulation_steps: int = Field(1, ge=1, le=1024)
    processes: int = Field(1, ge=1, le=64)  # that train together, each on a GPU of its own or a share of the cores
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: bool = False
    seed: int = Field(0, ge=0, lt=2**32)

    log_interval: Steps | None = None  # a fiftieth of the run, at most 10 steps
    eval_interval: Steps | None = None  # a tenth of the run
    checkpoint_interval: Steps | None = None  # every evaluation
    keep_checkpoints: int = Field(2, ge=1, le=100)
    validation_fraction: float = Field(0.02, gt=0, lt=1)  # held out where no validation file is given
    max_eval_samples: int = Field(512, ge=1)
    early_stopping_patience: int | None = Field(None, ge=1)  # evaluations in a row without a lower eval_loss; off
    early_stopping_min_delta: float = Field(0.0, ge=0)  # by more than this, to count as lower
    export_dtype: Literal["float32", "bfloat16"] = "float32"  # of the published weights

    @model_validator(mode="before")
    @classmethod
    def _accept_openai_names(cls, data: Any) -> Any:
        """OpenAI's own ways: "auto" means unset, and `n_epochs` has our name."""
        if not isinstance(data, Mapping):
            return data
        values = {k: v for k, v in data.items() if v != "auto" and v is not None}
        if "n_epochs" in values:
            values.setdefault("epochs", values.pop("n_epochs"))
        return values

    @property
    def most_checkpoints(self) -> int:
        """That are on the disk at once: the newest, the best, the one from before the decay, and one being written."""
        before_decay = self.schedule == "warmup-stable-decay"
        return self.keep_checkpoints + (self.early_stopping_patience is not None) + before_decay + 1

    def check_for(self, config: Mapping[str, Any] | None) -> None:
        """Raises InvalidValue where what was given does not suit this preset, or (None) a stored model."""


@dataclass(frozen=True)
class Method:
    modality: Modality
    hyperparameters: type[TrainingHyperparameters]
    presets: Mapping[str, Mapping[str, Any]]  # name → config of a model built from scratch
    architectures: frozenset[str] = frozenset()  # of stored models that it continues; none named: all of the modality
