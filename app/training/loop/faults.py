"""Faults of data and hyperparameters that end a run: values that are not finite, and nothing to predict."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import torch

from app.errors import AppError, InvalidData, InvalidValue

BARREN_STEPS = 100  # steps from the start of an attempt after which something must have been predicted


def explain_divergence(step: int, micro_batches: Sequence[Any]) -> AppError:
    """Returns the error for a gradient that is not finite. It blames the data if they are the cause."""
    if not all(map(_is_finite, micro_batches)):
        return InvalidData(
            f"the samples of step {step} contain numbers that are not finite; check the training data",
            param="training_file",
        )
    message = f"training diverged at step {step}: the gradient is not finite; "
    if step == 1:  # no weight has changed yet
        return InvalidData(message + "check the training data for extreme values", param="training_file")
    return InvalidValue(message + "lower the learning rate or lengthen the warmup", param="learning_rate")


def _is_finite(batch: Any) -> bool:
    values = (getattr(batch, field.name) for field in fields(batch))
    return all(bool(v.isfinite().all()) for v in values if isinstance(v, torch.Tensor) and v.is_floating_point())


def check_predictions(predicted: int, steps: int, *, ended: bool) -> None:
    """Raises InvalidData if an attempt has predicted nothing after BARREN_STEPS steps, or at its end.

    Args:
        predicted: Positions that the attempt has predicted so far.
        steps: Steps of the attempt so far.
        ended: Whether the attempt has taken its last step.
    """
    if not predicted and (steps >= BARREN_STEPS or (ended and steps)):
        raise InvalidData(
            f"the model learned nothing: no sample of {steps} steps had a masked token to predict",
            param="training_file",
        )
