"""wav2vec 2.0: hyperparameters and presets."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from app.errors import InvalidValue
from app.methods.base import MediaHyperparameters, Method
from app.types import ModalityName

SAMPLE_RATE = 16_000  # in Hz, of the presets


class Wav2Vec2Hyperparameters(MediaHyperparameters):
    """Contrastive prediction of quantized speech units, wav2vec 2.0: arXiv 2006.11477.

    The defaults of the objective are those of the paper's base model.
    """

    batch_size: int = Field(32, ge=1, le=65_536, description="Samples of an optimizer step, over all micro-batches")
    max_eval_samples: int = Field(
        256, ge=1, le=10**9, description="Held-out samples that an evaluation reads, the same each time"
    )
    crop_seconds: float = Field(
        5.0,
        ge=0.1,
        le=30,
        description="Maximum length of a random crop in seconds. Crops of shorter sounds have one of a few lengths",
    )
    mask_time_prob: float = Field(
        0.65,
        gt=0,
        lt=1,
        description="Sum of the lengths of the masked spans, as a share of the frames. Spans may overlap, so fewer"
        " frames are masked",
    )
    mask_time_length: int = Field(
        10, ge=1, le=1000, description="Length of a masked span in frames. At most half of a crop's frames"
    )
    num_negatives: int = Field(
        100, ge=1, le=1000, description="Distractors of a masked frame, drawn from the other masked frames of its crop"
    )
    gumbel_temperature: float = Field(
        2.0, gt=0, le=100, description="Temperature of the Gumbel softmax of the quantizer at the first step"
    )
    gumbel_temperature_min: float = Field(
        0.5, gt=0, le=100, description="Temperature of the Gumbel softmax below which it does not fall"
    )
    gumbel_temperature_decay: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Factor of the temperature for each step; such that the minimum is reached after 70 % of the run",
    )
    diversity_weight: float = Field(
        0.1,
        ge=0,
        le=1000,
        description="Weight of the diversity loss, which is low if all entries of a codebook are used",
    )
    feature_penalty: float = Field(
        10.0, ge=0, le=1000, description="Weight of the mean square of the output of the convolutions"
    )

    @model_validator(mode="after")
    def _check_objective(self) -> "Wav2Vec2Hyperparameters":
        if self.gumbel_temperature_min > self.gumbel_temperature:
            raise ValueError(
                f"gumbel_temperature_min is {self.gumbel_temperature_min:g}, but gumbel_temperature is"
                f" {self.gumbel_temperature:g}"
            )
        if self.compile:
            raise ValueError("compile is not available for wav2vec 2.0: its crops have several lengths")
        return self

    def check_stored(self, stored: Mapping[str, Any] | None, named: Mapping[str, Mapping[str, Any]]) -> None:
        if stored and stored.get("add_adapter"):
            raise InvalidValue("a model with an adapter (add_adapter in config.json) cannot be trained", param="model")


def _wav2vec2(
    layers: int, width: int, convolutions: int, positions: tuple[int, int], codebook: tuple[int, int], dropout: float
) -> dict[str, Any]:
    """Returns a configuration of transformers.

    convolutions: their channels. positions: width and groups of the convolution that encodes positions.
    codebook: entries of each of the two codebooks, and the width of a unit.
    """
    entries, unit_width = codebook
    return {
        "model_type": "wav2vec2",
        "num_hidden_layers": layers,
        "hidden_size": width,
        "num_attention_heads": width // 64,
        "intermediate_size": width * 4,
        "conv_dim": [convolutions] * 7,
        "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
        "conv_stride": [5, 2, 2, 2, 2, 2, 2],
        "num_feat_extract_layers": 7,
        "num_conv_pos_embeddings": positions[0],
        "num_conv_pos_embedding_groups": positions[1],
        "num_codevector_groups": 2,
        "num_codevectors_per_group": entries,
        "codevector_dim": unit_width,
        "proj_codevector_dim": unit_width,
        "hidden_dropout": dropout,
        "attention_dropout": dropout,
        "feat_proj_dropout": dropout,
        "activation_dropout": 0.0,
        "final_dropout": 0.0,
        "layerdrop": 0.0,
    }


# The base one is facebook/wav2vec2-base. A frame is 20 ms in both. The tiny one is for a CPU.
WAV2VEC2_PRESETS: dict[str, dict[str, Any]] = {
    "wav2vec2-tiny": _wav2vec2(4, 192, 96, (32, 8), (64, 128), 0.0),
    "wav2vec2-base": _wav2vec2(12, 768, 512, (128, 16), (320, 256), 0.1),
}

METHODS = {
    "wav2vec2": Method(ModalityName.AUDIO, Wav2Vec2Hyperparameters, WAV2VEC2_PRESETS, frozenset({"wav2vec2"})),
}
