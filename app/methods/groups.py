"""Groups of hyperparameters, in the order in which forms and documents show them."""

from collections.abc import Mapping

# The group `architecture` is for presets. A stored model has its own architecture.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "length": (
        "max_steps", "epochs", "max_tokens", "max_minutes", "early_stopping_patience", "early_stopping_min_delta",
        "early_stopping_metric",
    ),
    "optimiser": (
        "learning_rate", "head_learning_rate", "find_lr", "batch_size", "batch_tokens", "schedule",
        "warmup_ratio", "decay_ratio", "weight_decay", "adam_beta1", "adam_beta2", "max_grad_norm", "seed",
    ),
    "masking": (
        "mask_ratio", "mask_strategy", "masking_rate", "final_masking_rate", "masking_strategy", "mean_span_length",
        "mask_token_share", "random_token_share", "norm_pix_loss", "contrast_weight", "mask_time_prob",
        "mask_time_length",
    ),
    "contrast": ("scale", "symmetric", "matryoshka_dimensions", "dropout"),
    "units": (
        "num_negatives", "gumbel_temperature", "gumbel_temperature_min", "gumbel_temperature_decay", "diversity_weight",
        "feature_penalty",
    ),
    "data": (
        "sequence_length", "positives", "anchor_column", "positive_column", "negative_column", "score_column",
        "text_column", "documents", "min_characters", "max_characters", "deduplicate",
        "strip_frames", "crop", "flip", "color_jitter", "time_roll", "gain", "crop_seconds", "max_broken_share",
        "validation_fraction",
    ),
    "architecture": (
        "image_size", "patch_size", "channels", "num_frames", "tubelet_size", "stride", "frame_rate", "sample_rate",
        "n_mels", "win_length", "hop_length", "n_fft", "f_min", "f_max", "window_frames", "decoder_layers",
        "decoder_hidden_size", "tokenizer", "tokenizer_model", "vocab_size", "lowercase", "strip_accents",
        "tokenizer_pattern", "kmer_length", "kmer_stride",
    ),
    "teacher": ("teacher", "teacher_weight"),
    "evaluation": ("eval_interval", "max_eval_samples", "log_interval", "checkpoint_interval", "keep_checkpoints"),
    "computation": ("gradient_accumulation_steps", "processes", "precision", "compile", "export_dtype"),
}  # fmt: skip


def group_of(name: str) -> str:
    """Returns the group of a hyperparameter. A test checks that each has one."""
    return next(group for group, names in GROUPS.items() if name in names)
