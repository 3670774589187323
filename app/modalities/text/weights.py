"""The weights of a model folder, loaded as one of transformers' models with a head."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open
from transformers import (
    AutoConfig,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedModel,
)

from app.errors import InvalidModel
from app.modalities.declared_size import check_declared_size
from app.modalities.model_files import as_invalid_model, check_keys

_NAMED = 3  # tensors that a message names

AutoClass = type[AutoModelForMaskedLM | AutoModelForSequenceClassification | AutoModelForTokenClassification]


def load_weights(
    folder: Path, dtype: torch.dtype, config: Mapping[str, Any], auto: AutoClass, head: str = "masked-LM head"
) -> tuple[PreTrainedModel, str]:
    """Returns the model, and why the checkpoint has no head for it; empty where it has one.

    auto: the class of transformers that knows the architecture's model. head: its name in messages.
    Raises InvalidModel.
    """
    if not (folder / "manifest.json").is_file():  # the models of the store were checked when they came in
        check_declared_size(folder, partial(_build, folder, auto))
    with as_invalid_model("the model cannot be loaded"):  # every parser and shape check below has errors of its own
        model, found = auto.from_pretrained(
            folder,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            dtype=dtype,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            **_head_fields(folder, config),
        )
    missing = sorted(found["missing_keys"])
    check_keys(config, missing, found["unexpected_keys"])
    inner = f"{model.base_model_prefix}."
    misfits = sorted((name, list(given), list(wanted)) for name, given, wanted in found["mismatched_keys"])
    for name, given, wanted in misfits:
        if name.startswith(inner):
            raise InvalidModel(f"the model's {name} is {given}, and config.json makes it {wanted}")
    lacking = [name for name in missing if name not in {each for each, *_ in misfits}]
    # A pooler is a part of the head: checkpoints of a masked LM have none.
    pools = auto is not AutoModelForMaskedLM
    if inside := [name for name in lacking if name.startswith(inner) and not (pools and ".pooler." in name)]:
        raise InvalidModel(f"the model's weights lack {len(inside)} tensors of its encoder, {inside[0]} first")
    return model, _headless(head, lacking, misfits)


def _build(folder: Path, auto: AutoClass) -> PreTrainedModel:
    """The architecture that config.json describes, without weights."""
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    return cast(PreTrainedModel, cast(Any, auto).from_config(config))


def _headless(head: str, lacking: Sequence[str], misfits: Sequence[tuple[str, list[int], list[int]]]) -> str:
    """Why a model has no head, as the end of a sentence; empty where it has one.

    lacking: the head's tensors that the weights lack. misfits: its tensors of other shapes, as stored and as needed.
    """
    if lacking:
        more = f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else ""
        return f"its weights have no {head}: {', '.join(lacking[:_NAMED])}{more} are missing"
    if misfits:
        name, given, wanted = misfits[0]
        return f"its weights have no {head} that fits: {name} is {given}, and config.json makes it {wanted}"
    return ""


def _head_fields(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of the configuration that follow from the weights.

    DeBERTa's own checkpoints name their head in another way than transformers does by default (`legacy`).
    """
    if config.get("model_type") not in ("deberta", "deberta-v2") or "legacy" in config:
        return {}
    for file in folder.glob("model*.safetensors"):
        with safe_open(file, framework="pt") as weights:
            if any(name.startswith("lm_predictions.") for name in weights.keys()):  # noqa: SIM118 - it is no mapping
                return {"legacy": False}
    return {}
