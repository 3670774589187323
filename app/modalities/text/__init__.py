"""Text: masked language models that fill masks, score and embed."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from app.datasets.sampling import sample_documents
from app.methods import ContrastiveHyperparameters, Method, MlmHyperparameters
from app.methods.contrastive import METHODS as CONTRASTIVE_METHODS
from app.methods.text import METHODS as MLM_METHODS
from app.modalities.descriptor import Check, Modality
from app.modalities.examples import classify_example, embed_example, json_example, quote, shorten, shorten_masked
from app.modalities.onnx_export import OnnxExport, check_packages
from app.types import ModalityName, Task

if TYPE_CHECKING:
    import torch

    from app.modalities.estimator import Estimator
    from app.modalities.served_model import ServedModel
    from app.modalities.text.training import ContrastiveTraining, TextTraining


class TextModality(Modality):
    name = ModalityName.TEXT
    methods: Mapping[str, Method] = {**MLM_METHODS, **CONTRASTIVE_METHODS}
    # Every architecture of transformers with a masked-LM head, but those that read images beside texts and Perceiver,
    # which reads bytes. `app.modalities.text.proof` decides about each model.
    model_types = frozenset(
        {
            *("albert", "bart", "bert", "big_bird", "camembert", "convbert", "data2vec-text", "deberta", "deberta-v2"),
            *(
                "distilbert",
                "electra",
                "ernie",
                "esm",
                "esmc",
                "eurobert",
                "flaubert",
                "fnet",
                "funnel",
                "gte",
                "ibert",
            ),
            *("jina_embeddings_v3", "layoutlm", "longformer", "luke", "mbart", "megatron-bert", "mobilebert"),
            *("modernbert", "mpnet", "mra", "mvp", "neomme", "nomic_bert", "nystromformer", "reformer", "rembert"),
            *("roberta", "roberta-prelayernorm", "roc_bert", "roformer", "squeezebert", "tapas", "ultrabert", "xlm"),
            *("xlm-roberta", "xlm-roberta-xl", "xmod", "yoso"),
        }
    )
    examples: Mapping[Task, str] = {
        Task.FILL_MASK: json_example("/v1/fill-mask", "Tokyo is the capital of [MASK]."),
        Task.SCORE: json_example("/v1/score", "Tokyo is a city."),
        Task.EMBED: embed_example("A sentence to compare with others."),
        Task.CLASSIFY: classify_example("A sentence to classify."),
    }

    def examples_from(self, text: str, masked: str) -> Mapping[Task, str]:
        whole = quote(shorten(text))
        return {
            Task.FILL_MASK: json_example("/v1/fill-mask", quote(shorten_masked(masked))),
            Task.SCORE: json_example("/v1/score", whole),
            Task.EMBED: embed_example(whole),
            Task.CLASSIFY: classify_example(whole),
        }

    def check_folder(self, folder: Path) -> None:
        from app.modalities.text.load import check_text

        check_text(folder)

    def load(self, folder: Path, *, dtype: "torch.dtype") -> "ServedModel":
        from app.modalities.text.classifiers.load import load_served

        return load_served(folder, dtype=dtype)

    def check(self, hyperparameters: MlmHyperparameters | ContrastiveHyperparameters) -> Check:
        if isinstance(hyperparameters, ContrastiveHyperparameters):
            return self._check_pairs(hyperparameters)
        return partial(
            sample_documents,
            text_column=hyperparameters.text_column,
            documents=hyperparameters.documents,
            min_characters=hyperparameters.min_characters,
            max_characters=hyperparameters.max_characters,
        )

    def _check_pairs(self, hyperparameters: ContrastiveHyperparameters) -> Check:
        from app.datasets.pairs import sample_pairs, sample_texts
        from app.modalities.text.training import pair_columns

        hp = hyperparameters
        if hp.positives == "column":
            return partial(sample_pairs, columns=pair_columns(hp))
        return partial(sample_texts, columns=pair_columns(hp), text_column=hp.text_column, documents=hp.documents)

    def estimator(self, method: str) -> "Estimator":
        if method in CONTRASTIVE_METHODS:
            from app.modalities.text.contrastive_estimator import ContrastiveEstimator

            return ContrastiveEstimator()
        from app.modalities.text.estimator import TextEstimator

        return TextEstimator()

    def training(self, method: str) -> "TextTraining | ContrastiveTraining":
        from app.modalities.text.training import ContrastiveTraining, TextTraining

        return ContrastiveTraining() if method in CONTRASTIVE_METHODS else TextTraining()

    def export_onnx(self, folder: Path, target: Path, task: Task | None) -> OnnxExport:
        check_packages()
        from app.modalities.text.onnx_export import export_text

        return export_text(folder, target, task)


TEXT = TextModality()
