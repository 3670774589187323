"""Faults that end a run early: numbers that are not finite, and steps that have nothing to predict."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import torch

from app.errors import AppError, InvalidData, InvalidValue

BARREN_STEPS = 100  # in a row without anything to predict, from the first one of an attempt


def explain_divergence(step: int, micro_batches: Sequence[Any]) -> AppError:
    """The error of a gradient that is not finite at a step, which names the data where they are the cause."""
    if not all(map(_is_finite, micro_batches)):
        return InvalidData(
            f"the samples of step {step} hold numbers that are not finite; check the training data",
            param="training_file",
        )
    message = f"training diverged at step {step}: the gradient is no finite number; "
    if step == 1:  # no weight has changed yet
        return InvalidData(message + "check the training data for extreme values", param="training_file")
    return InvalidValue(message + "lower the learning rate or raise the warmup", param="learning_rate")


def _is_finite(batch: Any) -> bool:
    values = (getattr(batch, field.name) for field in fields(batch))
    return all(bool(v.isfinite().all()) for v in values if isinstance(v, torch.Tensor) and v.is_floating_point())


def check_predictions(predicted: int, steps: int, *, ended: bool) -> None:
    """Raises InvalidData if an attempt's steps had nothing to predict: after BARREN_STEPS, or when it has ended."""
    if not predicted and (steps >= BARREN_STEPS or (ended and steps)):
        raise InvalidData(
            f"{steps} steps had nothing to predict, so nothing was learned: the data hold no token that is masked",
            param="training_file",
        )
