"""A servable folder without its weights: with a checkpoint's, it can be published without torch."""

import json
import os
import shutil
from pathlib import Path

import torch

from app.modalities.base import Objective
from app.system.durable import sync, sync_tree


def write_skeleton(folder: Path, objective: Objective, architecture: str) -> None:
    """Once a job: everything that `Objective.save` writes but weights, and what the model is as manifest.json."""
    if folder.exists():
        return
    aside = folder.with_name(f".tmp-{folder.name}-{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
    objective.save(aside, torch.float32)  # as checkpoints are
    for weights in aside.glob("*.safetensors*"):
        weights.unlink()
    made = {
        "modality": objective.modality,
        "architecture": architecture,
        "tasks": list(objective.tasks),
        "parameters": objective.parameter_count(),
    }
    (aside / "manifest.json").write_text(json.dumps(made, indent=2), encoding="utf-8")
    sync_tree(aside)
    aside.rename(folder)
    sync(folder.parent)
