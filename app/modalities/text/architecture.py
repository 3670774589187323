"""The architecture of a text model whose config.json names none: from its class, or from the names of its weights."""

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

from app.errors import InvalidModel
from app.modalities.model_files import as_invalid_model, read_json
from app.modalities.text import TEXT

# Types whose weights' names begin with the type itself, `-` as `_`, and those of no other type do.
_PREFIXES = {
    name.replace("-", "_"): name
    for name in (
        *(
            "albert",
            "convbert",
            "data2vec-text",
            "distilbert",
            "electra",
            "ernie",
            "esm",
            "esmc",
            "fnet",
            "funnel",
            "gte",
        ),
        *("ibert", "layoutlm", "longformer", "luke", "mobilebert", "mpnet", "mra", "nomic_bert", "nystromformer"),
        *("reformer", "rembert", "roberta-prelayernorm", "roc_bert", "roformer", "tapas", "yoso"),
    )
}
_FAMILY = re.compile(r"(\w+?)(?:For[A-Z]\w*|(?:With)?(?:LMHead)?Model)$")
# RoBERTa's kind differs in the tokenizer only: its class, or the files that it reads, tell which it is.
_TOKENIZERS = {"Roberta": "roberta", "XLMRoberta": "xlm-roberta", "Camembert": "camembert"}


def find_architecture(folder: Path) -> str:
    """The model_type of a folder with safetensors. Raises InvalidModel where it cannot be told for certain."""
    config = read_json(folder / "config.json")
    if found := _by_class(config):
        return found
    with as_invalid_model("the weights cannot be read"):
        names = set(_tensor_names(folder))
    if found := _by_names(folder, config, names):
        return found
    raise InvalidModel(
        "config.json names no model_type, and the names of the weights do not tell it for certain; name it as the"
        " architecture (--architecture bert)",
        param="source",
    )


def _by_class(config: Mapping[str, Any]) -> str | None:
    """The type whose class, for any task, config.json lists as `architectures`: `BertForPreTraining` is BERT's."""
    listed = config.get("architectures")
    families = {_FAMILY.match(str(name)) for name in (listed if isinstance(listed, list) else [])}
    names = {found[1] for found in families if found}
    for model_type, name in MODEL_FOR_MASKED_LM_MAPPING_NAMES.items():
        found = _FAMILY.match(name)
        if model_type in TEXT.model_types and found and found[1] in names:
            return str(model_type)
    return None


def _tensor_names(folder: Path) -> Iterator[str]:
    for file in folder.glob("model*.safetensors"):
        with safe_open(file, framework="pt") as weights:
            yield from weights.keys()


def _by_names(folder: Path, config: Mapping[str, Any], names: Collection[str]) -> str | None:
    first = {name.partition(".")[0] for name in names}

    def has(part: str) -> bool:
        return any(part in name for name in names)

    if len(found := first & _PREFIXES.keys()) == 1:
        return _PREFIXES[found.pop()]
    if "deberta" in first:
        return "deberta" if has(".attention.self.in_proj.") else "deberta-v2"
    if "bert" in first:
        return _bert(config, has("bert.encoder.ln."))
    # X-MOD has adapters, XLM-R-XL norms of its own, and Jina's models no positions.
    others = ("adapter_modules", "self_attn_layer_norm")
    if "roberta" in first and has("position_embeddings") and not any(map(has, others)):
        return _roberta(folder)
    return None


def _bert(config: Mapping[str, Any], has_final_norm: bool) -> str | None:
    """BERT, Megatron-BERT, BigBird and Ernie share their prefix; the last two also share BERT's names."""
    if has_final_norm:
        return "megatron-bert"
    return None if {"block_size", "attention_type", "use_task_id", "task_type_vocab_size"} & config.keys() else "bert"


def _roberta(folder: Path) -> str | None:
    file = folder / "tokenizer_config.json"
    named = str(read_json(file).get("tokenizer_class")) if file.is_file() else ""
    if found := _TOKENIZERS.get(named.removesuffix("Fast").removesuffix("Tokenizer")):
        return found
    return "roberta" if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file() else None
