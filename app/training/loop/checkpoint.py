"""Checkpoints that are either complete or absent.

A checkpoint is a folder `step-<n>` with model.safetensors, optimizer.pt, state.json and manifest.json.
The manifest holds the SHA-256 of every file and is written last. The folder is written under another
name, synced to the disk, and then renamed.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
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
    """The state of a run, without its weights and its optimizer."""

    step: int = 0
    samples: int = 0  # taken from the endless order of samples
    tokens: int = 0  # trained on, without padding
    seconds: float = 0.0  # spent in training steps, over all attempts
    samples_per_micro_batch: int | None = None  # set after memory ran out; None: as planned
    memory_kills: int = 0  # kills that `samples_per_micro_batch` already accounts for
    beside: float = 0.0  # seconds spent between steps: evaluations, checkpoints, reports
    before_decay: int | None = None  # the last step at the plateau's learning rate, whose checkpoint is kept
    extended_from: int = 0  # the plan's value; identifies the extension
    best: Mapping[str, float] | None = None  # the best evaluation, if the run may stop early
    since_best: int = 0  # evaluations since then, or since the latest extension
    eval_samples: int | None = None  # of each evaluation; None: not chosen yet
    curve: Sequence[Mapping[str, float]] = field(default_factory=list)  # evaluations, oldest first


class CheckpointError(AppError):
    """A checkpoint is incomplete or its content has changed."""

    code = "checkpoint_broken"


def disk_bytes(parameters: int, count: int) -> int:
    """Returns the size of `count` checkpoints: float32 weights and AdamW's two moments."""
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
    """Writes `root/step-<n>`, and deletes all but the newest `keep` checkpoints and those of the steps `keep_also`.

    `fence` is called just before the rename and may raise to prevent it. The caller must be the only writer of `root`.
    """
    make_folders(root)
    final = checkpoint_path(root, state.step)
    for left in root.glob(f"{_ASIDE}*"):  # left by a trainer that was killed while it saved
        shutil.rmtree(left, ignore_errors=True)
    aside = root / f"{_ASIDE}{os.getpid()}-{state.step}"
    try:
        _write(aside, model, optimizer, state)
        fence()
        shutil.rmtree(final, ignore_errors=True)
        os.rename(aside, final)
    except BaseException as e:  # such as a full disk or the fence; the unfinished folder takes space
        e.add_note(f"the checkpoint of step {state.step}")
        shutil.rmtree(aside, ignore_errors=True)
        raise
    sync(root)
    kept = {checkpoint_path(root, step) for step in keep_also if step is not None}
    for old in list_checkpoints(root)[keep:]:
        if old not in kept:
            shutil.rmtree(old, ignore_errors=True)
    return final


def _write(aside: Path, model: nn.Module, optimizer: torch.optim.Optimizer, state: TrainState) -> None:
    aside.mkdir()
    # Tied weights are one tensor under several names; safetensors stores each tensor once.
    weights = {k: v.detach().contiguous() for k, v in model.named_parameters()}
    save_file(weights, aside / "model.safetensors", metadata={"format": "pt"})  # transformers expects the format
    rng = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        rng["cuda"] = torch.cuda.get_rng_state()
    with (aside / "optimizer.pt").open("wb") as out:  # given a path, torch hides that the disk is full
        torch.save({"optimizer": optimizer.state_dict(), "rng": rng}, out)
    (aside / "state.json").write_text(json.dumps(asdict(state)))
    digests = {f.name: _digest(f) for f in sorted(aside.iterdir())}
    (aside / "manifest.json").write_text(json.dumps(digests, indent=1))
    sync_tree(aside)


def delete_later_checkpoints(root: Path, step: int) -> None:
    """Deletes the checkpoints of steps after `step`."""
    for folder in list_checkpoints(root):
        if folder > checkpoint_path(root, step):
            shutil.rmtree(folder, ignore_errors=True)


def checkpoint_path(root: Path, step: int) -> Path:
    return root / f"step-{step:09d}"


def list_checkpoints(root: Path) -> list[Path]:
    """Returns the folders of complete checkpoints, newest first."""
    return sorted((p for p in root.glob("step-*") if (p / "manifest.json").exists()), reverse=True)


def load_newest(root: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> TrainState | None:
    """Restores the newest checkpoint that is not broken and returns its state, or None if there is none."""
    for folder in list_checkpoints(root):
        try:
            return load_checkpoint(folder, model, optimizer)
        except CheckpointError:
            continue
    return None


def load_checkpoint(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> TrainState:
    """Restores the model, and the optimizer with the random state if it is given.

    Raises CheckpointError, before anything is restored, if a file is missing or its digest differs.
    """
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
