"""Text: masked language models that fill masks, score and embed."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from app.datasets.sampling import sample_documents
from app.methods.text import METHODS, MlmHyperparameters
from app.modalities.descriptor import Check, Modality
from app.modalities.examples import embed_example, json_example
from app.types import ModalityName, Task

if TYPE_CHECKING:
    import torch

    from app.modalities.served_model import AnyMaskedModel
    from app.modalities.text.estimator import TextEstimator
    from app.modalities.text.training import TextTraining


class TextModality(Modality):
    name = ModalityName.TEXT
    methods = METHODS
    model_types = frozenset(
        {"albert", "bert", "deberta-v2", "distilbert", "electra", "modernbert", "mpnet", "roberta", "xlm-roberta"}
    )
    examples: Mapping[Task, str] = {
        Task.FILL_MASK: json_example("/v1/fill-mask", "Tokyo is the capital of [MASK]."),
        Task.SCORE: json_example("/v1/score", "Tokyo is a city."),
        Task.EMBED: embed_example("A sentence to compare with others."),
    }

    def load(self, folder: Path, *, dtype: "torch.dtype") -> "AnyMaskedModel":
        from app.modalities.text.load import load_text

        return load_text(folder, dtype=dtype)

    def check(self, hyperparameters: MlmHyperparameters) -> Check:
        return partial(
            sample_documents,
            text_column=hyperparameters.text_column,
            min_characters=hyperparameters.min_characters,
            max_characters=hyperparameters.max_characters,
        )

    def estimator(self) -> "TextEstimator":
        from app.modalities.text.estimator import TextEstimator

        return TextEstimator()

    def training(self) -> "TextTraining":
        from app.modalities.text.training import TextTraining

        return TextTraining()


TEXT = TextModality()
