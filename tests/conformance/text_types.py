"""A tiny seeded model folder of every architecture of transformers with a masked-LM head that reads text."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import AutoConfig, AutoModelForMaskedLM, PreTrainedModel, PreTrainedTokenizerFast

from app.modalities.text.objective import TextObjective

SPECIAL = ["[UNK]", "<pad>", "[CLS]", "[SEP]", "[MASK]"]  # the padding token's id is 1, as RoBERTa's kind has it
WORDS = [
    *("the", "a", "lion", "lions", "zebra", "chase", "see", "saw", "in", "on", "savanna", "river", "water", "and"),
    *("again", "capital", "of", "france", "is", "paris", "big", "small", "old", "new", "city", "man", "woman", "dog"),
    *("cat", "runs", "sleeps", "eats", "drinks", "fast", "slow", "red", "blue", "green", "white", "black", "one"),
    *("two", "three", "many", "few", "day", "night", "sun", "moon", "sea", "land", ".", ",", "!", "?"),
]
VOCABULARY = 64
MAX_LENGTH = 80

_COMMON: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": MAX_LENGTH + 2,  # RoBERTa's kind uses two for padding
    "type_vocab_size": 2,
    "pad_token_id": 1,
    "cls_token_id": 2,
    "sep_token_id": 3,
    "mask_token_id": 4,
    "bos_token_id": 2,
    "eos_token_id": 3,
}
_BART = {
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "decoder_start_token_id": 3,
}
_XLM = {
    "emb_dim": 32,
    "n_layers": 2,
    "n_heads": 2,
    "n_words": VOCABULARY,
    "unk_index": 0,
    "pad_index": 1,
    "bos_index": 2,
    "eos_index": 3,
    "mask_index": 4,
}
_PARTS = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]}
# Fields that a type has beside the common ones. None leaves one of those out.
_OWN: dict[str, Mapping[str, Any]] = {
    "albert": {"embedding_size": 16},
    "bart": _BART,
    "bert": {},
    "big_bird": {"block_size": 4, "num_random_blocks": 1, "max_position_embeddings": MAX_LENGTH},
    "camembert": {},
    "convbert": {"embedding_size": 32, "num_attention_heads": 4, "head_ratio": 2},
    "data2vec-text": {},
    "deberta": _PARTS,
    "deberta-v2": _PARTS,
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 48},
    "electra": {"embedding_size": 16},
    "ernie": {},
    "esm": {"position_embedding_type": "rotary", "token_dropout": True},
    "esmc": {},
    "eurobert": {"num_key_value_heads": 2},
    "flaubert": _XLM,
    "fnet": {},
    "funnel": {
        "d_model": 32,
        "block_sizes": [1, 1],
        "num_decoder_layers": 1,
        "n_head": 2,
        "d_head": 16,
        "d_inner": 48,
        "num_hidden_layers": None,
    },
    "gte": {},
    "ibert": {},
    "jina_embeddings_v3": {},
    "layoutlm": {"max_2d_position_embeddings": 16},
    "longformer": {"attention_window": [4, 4]},
    "luke": {"entity_vocab_size": 8, "entity_emb_size": 8},
    "mbart": _BART,
    "megatron-bert": {},
    "mobilebert": {"embedding_size": 16, "intra_bottleneck_size": 16, "true_hidden_size": 16},
    "modernbert": {"global_attn_every_n_layers": 2, "local_attention": 4},
    "mpnet": {},
    "mra": {},
    "mvp": _BART,
    "neomme": {"num_key_value_heads": 2},
    "nomic_bert": {},
    "nystromformer": {"num_landmarks": 64, "segment_means_seq_len": 64},
    "reformer": {
        "attn_layers": ["local", "local"],
        "axial_pos_shape": [8, 16],
        "axial_pos_embds_dim": [8, 24],
        "is_decoder": False,
        "feed_forward_size": 48,
        "local_attn_chunk_length": 8,
        "max_position_embeddings": 128,
    },
    "rembert": {"input_embedding_size": 16, "output_embedding_size": 24},
    "roberta": {},
    "roberta-prelayernorm": {},
    "roc_bert": {
        "pronunciation_vocab_size": 8,
        "shape_vocab_size": 8,
        "pronunciation_embed_dim": 8,
        "shape_embed_dim": 8,
    },
    "roformer": {"embedding_size": 32},
    "squeezebert": {
        "embedding_size": 32,
        "q_groups": 2,
        "k_groups": 2,
        "v_groups": 2,
        "post_attention_groups": 1,
        "intermediate_groups": 2,
        "output_groups": 2,
    },
    "tapas": {"type_vocab_sizes": [3, 4, 2, 2, 4, 4, 4]},
    "ultrabert": {},
    "xlm": _XLM,
    "xlm-roberta": {},
    "xlm-roberta-xl": {},
    "xmod": {"languages": ["en_XX", "de_DE"], "default_language": "en_XX"},
    "yoso": {},
}
TYPES = sorted(_OWN)
UNTRAINED = {"reformer"}  # a row has to fill its axial positions


def build_model(model_type: str, auto: Any = AutoModelForMaskedLM, **changes: Any) -> PreTrainedModel:
    """A model whose weights, biases and norms are all shaken, so that none of them is without effect."""
    fields = {**_COMMON, **_OWN[model_type], **changes}
    config = AutoConfig.for_model(model_type, **{name: value for name, value in fields.items() if value is not None})
    torch.manual_seed(0)
    model: PreTrainedModel = auto.from_config(config).eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return model


def build_tokenizer() -> PreTrainedTokenizerFast:
    entries = [*SPECIAL, *WORDS]
    vocabulary = {token: number for number, token in enumerate(entries)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    roles = ("unk_token", "pad_token", "cls_token", "sep_token", "mask_token")
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=MAX_LENGTH, **dict(zip(roles, SPECIAL, strict=True))
    )


def build_folder(folder: Path, model_type: str, edit: Callable[[PreTrainedModel], None] | None = None) -> Path:
    model = build_model(model_type)
    if edit is not None:
        edit(model)
    model.save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    return folder


def build_classifier(folder: Path, model_type: str, auto: Any, labels: Sequence[str]) -> Path:
    model = build_model(model_type, auto, id2label=dict(enumerate(labels)), num_labels=None)
    model.save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    return folder


def expect(folder: Path, served: TextObjective, text: str) -> list[tuple[int, float]]:
    """The best token of each mask and its probability, by transformers alone."""
    ids = served.tokenizer(text, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        logits = AutoModelForMaskedLM.from_pretrained(folder).eval()(ids).logits[0]
    found = logits[ids[0] == served.tokenizer.mask_token_id].softmax(-1)[:, : len(served.tokenizer)].max(-1)
    return list(zip(found.indices.tolist(), found.values.tolist(), strict=True))
