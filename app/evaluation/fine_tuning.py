"""Fine-tuning: a whole network learns labels, with a fresh linear layer on its pooled vectors.

The network begins with its own weights or with random ones. Everything else is the same: the steps, the batches, and
the rule that chooses the learning rate (`tuning_budget`). No part of it sees the test labels.
"""

import itertools
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from app.evaluation.item_batches import Content, ItemReader, Rows
from app.evaluation.random_weights import randomize
from app.evaluation.tuning_budget import BATCH, TRAINING_COST, order_items
from app.modalities.served_model import ServedModel
from app.modalities.trainable import TrainableEmbed
from app.system.process_pool import ProcessPool
from app.training.loop.optimizer import autocast, make_optimizer
from app.training.loop.plan import NEW_HEAD_FACTOR
from app.training.loop.schedule import learning_rate_factor
from app.types import Task

_PREDICTED = 64  # items that are predicted between two reports
_WARMUP = 0.1  # share of the steps
_MAX_NORM = 1.0
_STANDARDIZED = 1_000  # training items that the scale of the vectors is measured on
_LEAST_SCALE = 0.01  # of a dimension, in the mean of all

OnWork = Callable[[float], None]  # is told the work that was done, where the prediction of an item is 1


@dataclass(frozen=True)
class TuningMachine:
    """The machine that trains. decoders: the processes that decode files; None: this one."""

    device: torch.device
    precision: torch.dtype
    batch_tokens: int
    decoders: ProcessPool | None = None


@dataclass(frozen=True)
class Schedule:
    """The hyperparameters of a run, as the optimizer reads them."""

    learning_rate: float
    steps: int
    seed: int
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.98)

    @property
    def head_learning_rate(self) -> float:
        return NEW_HEAD_FACTOR * self.learning_rate


@dataclass(frozen=True)
class Labelled:
    """Training items. targets: codes from 0 [N, int64], or numbers [N, float32] with mean 0 and deviation 1."""

    contents: Sequence[Content]
    targets: Tensor
    outputs: int  # of the linear layer: the number of classes, or 1 for numbers

    @property
    def has_classes(self) -> bool:
        return not self.targets.is_floating_point()


class TunedNetwork(nn.Module):
    """The modules that are trained, with a new linear layer on the pooled vectors.

    mean, scale: of the vectors of the training items before the first step.
    """

    base_model_prefix = "encoder"

    def __init__(self, served: ServedModel, vectors: Tensor, outputs: int) -> None:
        super().__init__()
        self.encoder = nn.ModuleList([served.model, *served.further_modules])
        self.mean, self.scale = vectors.mean(0), _measure_scale(vectors)
        self.head = nn.Linear(vectors.shape[1], outputs, device=vectors.device)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, vectors: Tensor) -> Tensor:
        """[B, D] → [B, outputs], float32"""
        found: Tensor = self.head((vectors - self.mean) / self.scale)
        return found.float()


class FineTuner:
    """Trains one network again and again, each time from its beginning. It holds the weights twice.

    served: the model, in float32. random_weights: whether each run begins with weights of its own seed.
    """

    def __init__(self, served: ServedModel, machine: TuningMachine, *, random_weights: bool) -> None:
        self._served, self._machine, self._random = served, machine, random_weights
        self._handler = cast(TrainableEmbed, served.tasks[Task.EMBED])
        self._reader = ItemReader(self._handler, machine.decoders, machine.batch_tokens)
        served.to(machine.device, torch.float32)
        self._modules = [served.model, *served.further_modules]
        self._first = [{k: v.detach().clone() for k, v in each.state_dict().items()} for each in self._modules]

    def train(self, data: Labelled, schedule: Schedule, on_work: OnWork) -> TunedNetwork:
        """Trains the network on labelled items. The result shares its weights, which the next call changes."""
        for module, weights in zip(self._modules, self._first, strict=True):
            module.load_state_dict(weights)
        if self._random:
            randomize(self._served, schedule.seed)
        known = self._reader.retry(partial(self._embed, data.contents[:_STANDARDIZED]), self._machine.device)
        network = TunedNetwork(self._served, known, data.outputs)
        optimizer = make_optimizer(network, schedule)
        order = order_items(data.targets.numpy(), schedule.seed, has_classes=data.has_classes)
        size = min(BATCH, len(data.contents))
        for step in range(schedule.steps):
            chosen = list(itertools.islice(order, size))
            factor = learning_rate_factor((step + 0.5) / schedule.steps, "linear", warmup=_WARMUP, decay=0.0)
            for group in optimizer.param_groups:
                group["lr"] = group["peak_lr"] * factor
            contents, targets = [data.contents[i] for i in chosen], data.targets[chosen]
            self._reader.retry(partial(self._add_gradients, network, contents, targets), self._machine.device)
            self._step(network, optimizer)
            on_work(TRAINING_COST * size)
        return network

    @torch.no_grad()
    def _embed(self, contents: Sequence[Content]) -> Tensor:
        """Returns the vectors [N, D] of items, in any order."""
        return torch.cat([self._compute(rows) for _, rows in self._reader.read(contents)])

    def _add_gradients(self, network: TunedNetwork, contents: Sequence[Content], targets: Tensor) -> None:
        """Sets the gradients of the mean loss of a step's items."""
        network.zero_grad(set_to_none=True)  # those of a try that ran out of memory
        for places, rows in self._reader.read(contents):
            loss = measure_loss(network(self._compute(rows)), targets[places], reduction="sum") / len(contents)
            loss.backward()  # type: ignore[no-untyped-call]

    def _step(self, network: TunedNetwork, optimizer: torch.optim.Optimizer) -> None:
        parameters = [each for each in network.parameters() if each.grad is not None]
        if torch.nn.utils.clip_grad_norm_(parameters, _MAX_NORM).isfinite():
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def _compute(self, rows: Rows) -> Tensor:
        """Returns the vectors [B, D] of a batch, float32."""
        device, precision = self._machine.device, self._machine.precision
        # On the CPU the backward pass of the fused attention is slow in bfloat16.
        slow = device.type == "cpu" and precision != torch.float32
        with sdpa_kernel(SDPBackend.MATH) if slow else nullcontext(), autocast(device, precision):
            return self._handler.compute_vectors(rows).float()

    @torch.no_grad()  # tables that a model keeps for longer texts would be of no use to training in inference mode
    def predict(self, network: TunedNetwork, contents: Sequence[Content], on_work: OnWork) -> Tensor:
        """Returns the outputs [N, outputs] for items, float32 on the CPU: logits of the classes, or numbers."""
        found = torch.empty(len(contents), network.head.out_features)

        def predict(start: int) -> None:
            for places, rows in self._reader.read(contents[start : start + _PREDICTED]):
                found[[start + place for place in places]] = network(self._compute(rows)).cpu()

        for start in range(0, len(contents), _PREDICTED):
            self._reader.retry(partial(predict, start), self._machine.device)
            on_work(min(_PREDICTED, len(contents) - start))
        return found


def _measure_scale(vectors: Tensor) -> Tensor:
    """Returns the deviation [D] of each dimension; of one that hardly varies, a part of the mean deviation.

    Such a dimension may vary once the network is trained, and would then outweigh all others.
    """
    spread = vectors.std(0, correction=0)
    mean = spread.mean()
    return spread.clamp(min=float(_LEAST_SCALE * mean)) if mean > 0 else torch.ones_like(spread)


def measure_loss(outputs: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
    """Returns the cross-entropy of logits [B, classes], or the squared error of numbers [B, 1]."""
    targets = targets.to(outputs.device)
    if targets.is_floating_point():
        return F.mse_loss(outputs[:, 0], targets, reduction=reduction)
    return F.cross_entropy(outputs, targets, reduction=reduction)
