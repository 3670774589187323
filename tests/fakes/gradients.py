"""A model whose gradients two processes compute from parts of unequal sizes."""

from pathlib import Path

import torch
from torch import nn

from app.training.loop.distributed import ProcessGroup
from app.training.loop.gradients import GradientReducer

PARTS = ([[0], [1, 2], [3, 4, 5]], [[6]], [])  # the rows of each micro-batch, by process


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.unused = nn.Linear(3, 5), nn.Linear(5, 1), nn.Linear(5, 2)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return self.second(torch.tanh(self.first(rows))).square().sum()


def build() -> tuple[Model, torch.Tensor]:
    torch.manual_seed(0)
    return Model(), torch.randn(7, 3)


def compute(model: Model, rows: torch.Tensor, parts: list[list[int]], reducer: GradientReducer) -> None:
    for number, part in enumerate(parts):
        loss = model(rows[part]) / len(rows)
        if number < len(parts) - 1:
            loss.backward()
        else:
            with reducer.last_backward():
                loss.backward()


def take_steps(folder: Path, group: ProcessGroup) -> None:
    """Takes two steps and one that rank 0 cannot take. Saves what each sent early, and the last step's gradients."""
    model, rows = build()
    reducer = GradientReducer(model, group.size, bucket_bytes=1)
    sent, failed, gradients = [], [], {}
    for fails in (False, False, True):
        reducer.start()
        if not (fails and group.is_main):
            compute(model, rows, PARTS[group.rank], reducer)
        sent.append(reducer.sent)
        failed.append(reducer.finish(failed=fails and group.is_main))
        if not fails:
            gradients = {n: None if p.grad is None else p.grad.clone() for n, p in model.named_parameters()}
    torch.save((sent, failed, gradients), folder / f"{group.rank}.pt")
