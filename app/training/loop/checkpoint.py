"""Checkpoints that are either whole or not there.

A checkpoint is a folder `step-<n>`: model.safetensors, optimizer.pt, state.json and, written last,
manifest.json with every file's sha256. It is written aside, fsynced and renamed into place.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from app.errors import AppError
from app.system.durable import make_folders, sync, sync_tree

_ASIDE = ".tmp-"


@dataclass(frozen=True)
class TrainState:
    """Where a run stands, beside its weights and its optimiser."""

    step: int = 0
    samples: int = 0  # consumed of the endless sample order
    tokens: int = 0
    seconds: float = 0.0  # of training, over all attempts
    samples_per_micro_batch: int | None = None  # since memory ran out; None: as planned
    memory_kills: int = 0  # that this number of samples takes account of
    beside: float = 0.0  # seconds between the steps: evaluations, checkpoints, reports
    before_decay: int | None = None  # the last step at the plateau's learning rate, whose checkpoint is kept
    extended_from: int = 0  # as the plan's: which extension it belongs to
    best: Mapping[str, float] | None = None  # the evaluation with the lowest loss, where a run may stop early


class CheckpointError(AppError):
    code = "checkpoint_broken"


def disk_bytes(parameters: int, count: int) -> int:
    """Returns the bytes of so many checkpoints: weights and AdamW's two moments of each."""
    return count * parameters * 3 * 4


def save_checkpoint(
    root: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: TrainState,
    *,
    keep: int,
    keep_also: Collection[int | None] = (),
    fence: Callable[[], None] = lambda: None,
) -> Path:
    """Writes `root/step-<n>` and drops all but the newest `keep` and those of the steps `keep_also`.

    `fence` may veto just before the rename. Whoever saves is the folder's only writer.
    """
    make_folders(root)
    final = checkpoint_path(root, state.step)
    for left in root.glob(f"{_ASIDE}*"):  # by a trainer that was killed while it saved
        shutil.rmtree(left, ignore_errors=True)
    aside = root / f"{_ASIDE}{os.getpid()}-{state.step}"
    try:
        _write(aside, model, optimizer, state)
        fence()
        shutil.rmtree(final, ignore_errors=True)
        os.rename(aside, final)
    except BaseException as e:  # no space, or the fence: half a checkpoint is as large as a whole one
        e.add_note(f"the checkpoint of step {state.step}")
        shutil.rmtree(aside, ignore_errors=True)
        raise
    sync(root)
    kept = {checkpoint_path(root, step) for step in keep_also if step is not None}
    for old in list(list_checkpoints(root))[keep:]:
        if old not in kept:
            shutil.rmtree(old, ignore_errors=True)
    return final


def _write(aside: Path, model: nn.Module, optimizer: torch.optim.Optimizer, state: TrainState) -> None:
    aside.mkdir()
    # Tied weights are one tensor under several names; safetensors stores each tensor once.
    weights = {k: v.detach().contiguous() for k, v in model.named_parameters()}
    save_file(weights, aside / "model.safetensors", metadata={"format": "pt"})  # as a published folder needs it
    rng = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        rng["cuda"] = torch.cuda.get_rng_state()
    with (aside / "optimizer.pt").open("wb") as out:  # of a path, torch would not tell that the disk is full
        torch.save({"optimizer": optimizer.state_dict(), "rng": rng}, out)
    (aside / "state.json").write_text(json.dumps(asdict(state)))
    digests = {f.name: _digest(f) for f in sorted(aside.iterdir())}
    (aside / "manifest.json").write_text(json.dumps(digests, indent=1))
    sync_tree(aside)


def delete_later_checkpoints(root: Path, step: int) -> None:
    """Deletes the checkpoints of later steps."""
    for folder in list_checkpoints(root):
        if folder > checkpoint_path(root, step):
            shutil.rmtree(folder, ignore_errors=True)


def checkpoint_path(root: Path, step: int) -> Path:
    return root / f"step-{step:09d}"


def list_checkpoints(root: Path) -> Iterator[Path]:
    """Checkpoint folders, newest first; a folder without a manifest is none."""
    found = (p for p in root.glob("step-*") if (p / "manifest.json").exists()) if root.exists() else ()
    yield from sorted(found, reverse=True)


def load_newest(root: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> TrainState | None:
    """Restores the newest checkpoint whose digests hold, falling back to older ones; None if there is none."""
    for folder in list_checkpoints(root):
        try:
            return load_checkpoint(folder, model, optimizer)
        except CheckpointError:
            continue
    return None


def load_checkpoint(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> TrainState:
    """Raises CheckpointError, before anything is restored, if a file is missing or its digest differs."""
    try:
        digests: dict[str, str] = json.loads((folder / "manifest.json").read_text())
        broken = [name for name, digest in digests.items() if _digest(folder / name) != digest]
    except (OSError, ValueError) as e:
        raise CheckpointError(f"{folder.name}: {e}") from e
    if broken:
        raise CheckpointError(f"{folder.name}: the content of {', '.join(broken)} has changed")
    weights = load_file(folder / "model.safetensors")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])
    if optimizer is not None:
        saved: dict[str, Any] = torch.load(folder / "optimizer.pt", weights_only=True, map_location="cpu")
        optimizer.load_state_dict(saved["optimizer"])
        torch.set_rng_state(saved["rng"]["cpu"])
        if "cuda" in saved["rng"] and torch.cuda.is_available():
            torch.cuda.set_rng_state(saved["rng"]["cuda"])
    return TrainState(**json.loads((folder / "state.json").read_text()))


def _digest(file: Path) -> str:
    with file.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()
