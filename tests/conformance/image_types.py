"""A tiny seeded model folder of every architecture of transformers that encodes images."""

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig, PreTrainedModel

from app.modalities.image.encoder_types import ENCODERS

SIZE = 32
_COMMON: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "image_size": SIZE,
    "patch_size": 8,
}
_WINDOWS: dict[str, Any] = {
    "embed_dim": 16,
    "depths": [2, 2],
    "num_heads": [2, 2],
    "window_size": 4,
    "image_size": SIZE,
    "patch_size": 4,
    "encoder_stride": 8,
}
_TEXT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 20}
_TOWERS: dict[str, Any] = {
    "vision_config": _COMMON,
    "text_config": _TEXT | {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1},
}
_BEIT = _COMMON | {"use_relative_position_bias": True, "use_absolute_position_embeddings": True}
FIELDS: dict[str, dict[str, Any]] = {
    "beit": _BEIT,
    "clip": _TOWERS,
    "clip_vision_model": _COMMON,
    "data2vec-vision": _BEIT,
    "deit": _COMMON | {"encoder_stride": 8},
    "dinov2": _COMMON | {"image_size": 56},  # as published: images of another size than the configuration's
    "dinov2_with_registers": _COMMON | {"image_size": 56, "num_register_tokens": 3},
    "dinov3_vit": _COMMON | {"num_register_tokens": 3},
    "focalnet": _WINDOWS | {"hidden_sizes": [16, 32], "focal_levels": [2, 2], "focal_windows": [3, 3]},
    "ijepa": _COMMON,
    "siglip": _TOWERS,
    "siglip_vision_model": _COMMON,
    "swin": _WINDOWS,
    "swinv2": _WINDOWS,
}
TYPES = sorted(FIELDS)
SQUARE = {"height": SIZE, "width": SIZE}
# As the published models of the type have it.
_PROCESSORS: dict[str, dict[str, Any]] = {
    "Beit": {"feature_extractor_type": "BeitFeatureExtractor", "size": SIZE, "do_center_crop": False},
    "Bit": {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 36}, "crop_size": SQUARE},
    "CLIP": {"feature_extractor_type": "CLIPFeatureExtractor", "size": SIZE, "crop_size": SIZE},
    "DINOv3ViT": {"image_processor_type": "DINOv3ViTImageProcessorFast", "size": SQUARE},
    "DeiT": {"image_processor_type": "DeiTImageProcessor", "size": 36, "crop_size": SIZE},
    "Siglip": {"image_processor_type": "SiglipImageProcessor", "size": SQUARE},
    "ViT": {"image_processor_type": "ViTImageProcessor", "size": SQUARE},
}


def build_model(model_type: str, **changes: Any) -> PreTrainedModel:
    """A model whose weights, biases and norms are all shaken, so that none of them is without effect."""
    config = AutoConfig.for_model(model_type, **FIELDS[model_type] | changes)
    whole = {"clip": "CLIPModel", "siglip": "SiglipModel"}
    torch.manual_seed(0)
    model: PreTrainedModel = getattr(transformers, whole.get(model_type, ENCODERS[model_type].model_class))(config)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model.eval()


def build_folder(folder: Path, model_type: str, **processor: Any) -> Path:
    """processor: fields of its processor file."""
    return save_folder(folder, build_model(model_type), model_type, **processor)


def save_folder(folder: Path, model: PreTrainedModel, model_type: str, **processor: Any) -> Path:
    model.save_pretrained(folder)
    written = _PROCESSORS[ENCODERS[model_type].processor] | processor
    (folder / "preprocessor_config.json").write_text(json.dumps(written))
    return folder
