"""Tiny text models with random weights and a tokenizer trained on a few lines, as real model folders.

Each takes some tens of milliseconds to make and lies on disk exactly as a published model does:
config.json, model.safetensors and tokenizer files.
"""

import functools
import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AlbertConfig,
    AlbertTokenizer,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertConfig,
    BertTokenizer,
    DebertaV2Config,
    DebertaV2Tokenizer,
    DistilBertConfig,
    ElectraConfig,
    ModernBertConfig,
    MPNetConfig,
    MPNetTokenizer,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaTokenizer,
    XLMRobertaConfig,
    XLMRobertaTokenizer,
)

CORPUS = [
    "The capital of France is Paris.",
    "The lions chase the zebras in the savanna.",
    "A quick brown fox jumps over the lazy dog, again and again!",
    "Naïve cafés in Zürich serve crème brûlée; tomorrow they may not.",
    "Masked models learn to fill in the missing words of a sentence.",
    "Water boils at 100 degrees and freezes at 0.",
    "She said: what a wonderful world this is, and he believed her.",
    "In the beginning there was nothing, and then everything happened at once.",
]
VOCAB_SIZE = 320
MAX_LENGTH = 64  # tokens; the same for every architecture

_BRACKETS = {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]"}
# Real RoBERTa-like tokenizers let the mask swallow the space before it.
_LSTRIP = AddedToken("<mask>", lstrip=True, special=True)


def _wordpiece(specials: list[str], unk: str) -> dict[str, int]:
    """The same vocabulary in every process: the trainer numbers letters that nobody has named in a random order."""
    tokenizer = Tokenizer(models.WordPiece(unk_token=unk))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    lowered = [line.lower() for line in CORPUS]
    letters = sorted({letter for line in lowered for letter in line if not letter.isspace()})
    trainer = trainers.WordPieceTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=[*specials, *(f"##{letter}" for letter in letters if letter.isalnum())],
        initial_alphabet=letters,
        show_progress=False,
    )
    tokenizer.train_from_iterator(lowered, trainer)
    return dict(tokenizer.get_vocab())


def _unigram(specials: list[str]) -> list[tuple[str, float]]:
    """Letters and words with their log frequencies. The library's trainer finds other pieces in each process."""
    words = [f"▁{word}" for line in CORPUS for word in (*line.split(), *line.lower().split())]
    counts = Counter(letter for word in words for letter in word)
    counts.update(words)
    total = sum(counts.values())
    pieces = sorted(counts, key=lambda piece: (-counts[piece], piece))[: VOCAB_SIZE - len(specials)]
    return [*((each, 0.0) for each in specials), *((each, math.log(counts[each] / total)) for each in pieces)]


def _byte_level(specials: list[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE + 256,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [(left, right) for left, right in model["merges"]]


def _bert_tokenizer() -> Any:
    return BertTokenizer(vocab=_wordpiece([*_BRACKETS.values(), "[MASK]"], "[UNK]"))


def _mpnet_tokenizer() -> Any:
    # As in the published model: "<s>", "<pad>", "</s>" lead, and the unknown token is BERT's.
    return MPNetTokenizer(vocab=_wordpiece(["<s>", "<pad>", "</s>", "<mask>", "[UNK]"], "[UNK]"))


def _roberta_tokenizer() -> Any:
    vocab, merges = _byte_level(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    return RobertaTokenizer(vocab=vocab, merges=merges, mask_token=_LSTRIP)


def _xlm_roberta_tokenizer() -> Any:
    vocab = _unigram(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    return XLMRobertaTokenizer(vocab=vocab, mask_token=_LSTRIP)


def _albert_tokenizer() -> Any:
    vocab = _unigram(["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"])
    return AlbertTokenizer(vocab=vocab, mask_token=AddedToken("[MASK]", lstrip=True, special=True))


def _deberta_tokenizer() -> Any:
    return DebertaV2Tokenizer(vocab=_unigram(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))


def _modernbert_tokenizer() -> Any:
    vocab, merges = _byte_level([*_BRACKETS.values(), "[MASK]"])
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[(token, vocab[token]) for token in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        mask_token=AddedToken("[MASK]", lstrip=True, special=True),
        model_input_names=["input_ids", "attention_mask"],
        **_BRACKETS,
    )


_SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "initializer_range": 0.3,  # wide enough that predictions differ clearly
}
_POSITIONS = {"max_position_embeddings": MAX_LENGTH}
_OFFSET_POSITIONS = {"max_position_embeddings": MAX_LENGTH + 2}  # the first two are not for tokens


@dataclass(frozen=True)
class _Architecture:
    tokenizer: Callable[[], Any]
    config: Callable[..., PreTrainedConfig]
    options: dict[str, Any]


_ARCHITECTURES: dict[str, _Architecture] = {
    "bert": _Architecture(_bert_tokenizer, BertConfig, _SIZES | _POSITIONS),
    "distilbert": _Architecture(
        _bert_tokenizer,
        DistilBertConfig,
        {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 48, "initializer_range": 0.3} | _POSITIONS,
    ),
    "roberta": _Architecture(_roberta_tokenizer, RobertaConfig, _SIZES | _OFFSET_POSITIONS),
    "xlm-roberta": _Architecture(_xlm_roberta_tokenizer, XLMRobertaConfig, _SIZES | _OFFSET_POSITIONS),
    "albert": _Architecture(_albert_tokenizer, AlbertConfig, _SIZES | _POSITIONS | {"embedding_size": 16}),
    "electra": _Architecture(_bert_tokenizer, ElectraConfig, _SIZES | _POSITIONS | {"embedding_size": 16}),
    "mpnet": _Architecture(_mpnet_tokenizer, MPNetConfig, _SIZES | _OFFSET_POSITIONS),
    "modernbert": _Architecture(
        _modernbert_tokenizer,
        ModernBertConfig,
        _SIZES | _POSITIONS | {"initializer_cutoff_factor": 2.0, "local_attention": 8, "num_hidden_layers": 3},
    ),
    "deberta-v2": _Architecture(
        _deberta_tokenizer,
        DebertaV2Config,
        _SIZES
        | _POSITIONS
        | {
            "relative_attention": True,
            "position_buckets": 16,
            "pos_att_type": ["c2p", "p2c"],
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "position_biased_input": False,
            "type_vocab_size": 0,
        },
    ),
}
ARCHITECTURES = tuple(_ARCHITECTURES)


@functools.cache
def tiny_tokenizer(architecture: str = "bert") -> Any:
    """The architecture's kind of tokenizer, trained on `CORPUS`."""
    tokenizer = _ARCHITECTURES[architecture].tokenizer()
    tokenizer.model_max_length = MAX_LENGTH
    return tokenizer


def tiny_config(architecture: str = "bert") -> PreTrainedConfig:
    tokenizer = tiny_tokenizer(architecture)
    ids = {
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.cls_token_id,
        "eos_token_id": tokenizer.sep_token_id,
        "cls_token_id": tokenizer.cls_token_id,
        "sep_token_id": tokenizer.sep_token_id,
    }
    entry = _ARCHITECTURES[architecture]
    return entry.config(vocab_size=len(tokenizer), **ids, **entry.options)


def tiny_text_folder(path: Path, architecture: str = "bert", *, head: bool = True, seed: int = 0) -> Path:
    """Writes a model folder at `path` and returns it; without `head` it holds the bare encoder."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = (AutoModelForMaskedLM if head else AutoModel).from_config(tiny_config(architecture))
    model.save_pretrained(path)
    tiny_tokenizer(architecture).save_pretrained(path)
    return path


def tiny_bert_folder(path: Path, *, head: bool = True, seed: int = 0) -> Path:
    return tiny_text_folder(path, "bert", head=head, seed=seed)


def tiny_classifier_folder(
    path: Path, architecture: str = "bert", *, of_tokens: bool = False, labels: tuple[str, ...], **config: Any
) -> Path:
    """Writes the folder of a classifier of texts, or of their tokens, with all weights and biases random."""
    auto = AutoModelForTokenClassification if of_tokens else AutoModelForSequenceClassification
    settings = tiny_config(architecture)
    settings.id2label = dict(enumerate(labels))
    settings.label2id = {label: number for number, label in enumerate(labels)}
    for name, value in config.items():
        setattr(settings, name, value)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = auto.from_config(settings)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn(parameter.shape) * 0.1)
    model.save_pretrained(path)
    tiny_tokenizer(architecture).save_pretrained(path)
    return path
