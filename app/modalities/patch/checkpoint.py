"""Weights of a masked model of patches out of a folder, and whether its head was among them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from app.errors import InvalidModel
from app.modalities.model_files import check_keys, first_line, read_json


def load_masked(
    kind: Any,
    folder: Path,
    head: tuple[str, ...],
    settings: Mapping[str, Any],
    dtype: torch.dtype,
    *,
    config: PreTrainedConfig | None = None,
) -> tuple[PreTrainedModel, bool]:
    """A model of the class `kind` in `dtype` on the CPU, and whether the checkpoint had its head.

    head: prefixes of what an encoder saved alone lacks. settings: fields of its configuration to set anew.
    config: the configuration to build the model with, in place of the folder's.
    Raises InvalidModel for everything that cannot be or must not be loaded.
    """
    try:
        model, found = kind.from_pretrained(
            folder,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            dtype=dtype,
            config=config,
            output_loading_info=True,
        )
        for name, value in settings.items():
            setattr(model.config, name, value)
    except Exception as e:  # every parser and every shape check below it has errors of its own
        raise InvalidModel(f"the model cannot be loaded: {first_line(e)}") from e
    missing = sorted(found["missing_keys"])
    check_keys(read_json(folder / "config.json"), missing, found["unexpected_keys"])
    inside = [key for key in missing if not key.startswith(head)]
    if inside:
        raise InvalidModel(f"the model's weights lack {len(inside)} tensors of its encoder, {inside[0]} first")
    return model, not missing
