"""The model: ViTMAE over readings × sensors, which app/modalities/patch has."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from app.modalities.model_files import read_config
from app.modalities.patch.checkpoint import load_masked
from app.modalities.patch.mae import HEAD, MaeModel, ViTMAEForPreTraining, grid_of, start_decoder
from app.modalities.patch.objective import PatchObjective
from tests.toy_modality.geometry import MASKS
from tests.toy_modality.methods import NAME
from tests.toy_modality.processor import SensorProcessor


class SensorObjective(PatchObjective):
    modality = NAME

    def __init__(self, model: PreTrainedModel, *, decodes: bool, new_head: bool = False) -> None:
        mask_defaults = MASKS.of_model(model.config.to_dict())
        processor = SensorProcessor(grid_of(model))
        patch_model = MaeModel(model, decodes=decodes)
        super().__init__(patch_model, processor, mask_defaults, mean=(0.5,), std=(0.25,), new_head=new_head)


def load_sensor(
    folder: Path,
    *,
    new_head: bool = False,
    settings: Mapping[str, Any] | None = None,
    dtype: torch.dtype = torch.float32,
) -> SensorObjective:
    read_config(folder, {"vit_mae"}, "a sensor model")
    model, has_head = load_masked(ViTMAEForPreTraining, folder, HEAD, settings or {}, dtype)
    if new_head and not has_head:
        start_decoder(model)
    return SensorObjective(model, decodes=has_head or new_head, new_head=new_head and not has_head)
