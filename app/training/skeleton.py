"""The skeleton of a model's folder: everything but the weights.

With the weights of a checkpoint it can be published without torch.
"""

import json
import os
import shutil
from pathlib import Path

import torch

from app.modalities.served_model import AnyMaskedModel
from app.system.durable import sync, sync_tree


def write_skeleton(folder: Path, objective: AnyMaskedModel, architecture: str) -> None:
    """Writes everything that `Trainable.save` writes except weights, and manifest.json with facts about the model.

    Does nothing if the folder exists.
    """
    if folder.exists():
        return
    aside = folder.with_name(f".tmp-{folder.name}-{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
    objective.save(aside, torch.float32)  # the dtype of checkpoints
    for weights in aside.glob("*.safetensors*"):
        weights.unlink()
    facts = {
        "modality": objective.modality,
        "architecture": architecture,
        "tasks": list(objective.tasks),
        "parameters": objective.parameter_count(),
        "forward_path": objective.forward_path,
    }
    (aside / "manifest.json").write_text(json.dumps(facts, indent=2), encoding="utf-8")
    sync_tree(aside)
    aside.rename(folder)
    sync(folder.parent)
