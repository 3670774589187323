"""A folder of safetensors → TextObjective, with nothing in it executed."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
import transformers
from safetensors import safe_open
from tokenizers import Tokenizer, normalizers
from transformers import AutoConfig, AutoModelForMaskedLM, PreTrainedModel, PreTrainedTokenizerBase

from app.errors import InvalidModel
from app.modalities.declared_size import check_declared_size
from app.modalities.model_files import as_invalid_model, check_config, check_keys, read_config, read_json
from app.modalities.text import TEXT, sentence_transformers
from app.modalities.text.encoder import vocabulary_size
from app.modalities.text.forward import ForwardPath
from app.modalities.text.objective import TextObjective, knows_mask, longest_text, pad_token
from app.modalities.text.proof import ordinary_ids, prove
from app.modalities.text.sentencepiece_files import check_sentencepiece
from app.modalities.text.slow_tokenizers import make_fast, tokenizer_class, tokenizer_reader
from app.modalities.text.tokenizers import keeps_space_before_mask, strip_space_before_mask

_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")

_KIND = "a text model"
_NAMED = 3  # tensors that a message names
_LEAST_SHARE = 2  # of a model's table that a tokenizer knows: half; tables are filled up to round sizes

log = logging.getLogger(__name__)

# What a checkpoint lacks is found and reported here; its tables and bars only bury the log.
transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()


def load_text(folder: Path, *, new_head: bool = False, dtype: torch.dtype = torch.float32) -> TextObjective:
    """Loads a masked LM, a bare encoder or a sentence-transformers folder, in `dtype` on the CPU.

    Weights that are stored in that dtype are not read but mapped into memory.

    A checkpoint without the weights of an MLM head embeds only; with `new_head` it is given a
    random one instead, from torch's global generator, for training to fill.
    Raises InvalidModel for everything that cannot be or must not be loaded.
    """
    config = read_config(folder, TEXT.model_types, _KIND)
    _check_tokenizer(folder)
    pipeline = sentence_transformers.read(folder)
    model, headless = _load_model(folder, dtype, config)
    has_head = not headless
    tokenizer = load_tokenizer(folder)
    if not has_head and not new_head:
        model = cast(PreTrainedModel, model.base_model)
    return TextObjective(
        model,
        tokenizer,
        has_head=has_head or new_head,
        headless=headless,
        new_head=new_head and not has_head,
        path=_recorded_path(folder) or _proved_path(model.eval(), tokenizer, has_head=has_head),
        pipeline=pipeline,
    )


def _recorded_path(folder: Path) -> ForwardPath | None:
    """The forward path in the manifest of a stored model; None for a folder from elsewhere, or of before."""
    if not (folder / "manifest.json").is_file():
        return None
    name = read_json(folder / "manifest.json").get("forward_path")
    try:
        return ForwardPath.parse(name) if name else None
    except ValueError as error:
        raise InvalidModel(f"manifest.json names the forward path {name!r}, which is not known") from error


def _proved_path(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, has_head: bool) -> ForwardPath:
    """Raises InvalidModel for a model that gives wrong results, or a tokenizer that is not the model's."""
    entries, rows = len(tokenizer), vocabulary_size(model)
    if entries * _LEAST_SHARE < rows:
        raise InvalidModel(
            f"the tokenizer has {entries} entries and the model {rows}: its vocabulary file is not of the kind that"
            f" {type(tokenizer).__name__} reads"
        )
    ordinary = ordinary_ids(entries, tokenizer.all_special_ids, model)
    if not ordinary:
        raise InvalidModel("the tokenizer has special tokens only")
    model.config.return_dict = True
    return prove(
        model,
        pad_token(model, tokenizer),
        ordinary,
        mask_id=tokenizer.mask_token_id if knows_mask(model, tokenizer) else None,
        max_length=longest_text(model, tokenizer),
        has_head=has_head,
    )


def check_text(folder: Path) -> None:
    """Judges the configuration, modules and tokenizer of a folder, whose weights need not be there.

    Raises InvalidModel.
    """
    check_config(folder, TEXT.model_types, _KIND)
    sentence_transformers.check(folder)
    _check_tokenizer(folder)
    check_sentencepiece(folder, load_tokenizer(folder))


def _check_tokenizer(folder: Path) -> None:
    if not any(file.is_file() for name in _TOKENIZER_FILES for file in folder.glob(name)):
        # transformers would silently make up an empty vocabulary.
        raise InvalidModel("the model folder has no tokenizer (tokenizer.json or a vocabulary file)")


def _load_model(folder: Path, dtype: torch.dtype, config: Mapping[str, Any]) -> tuple[PreTrainedModel, str]:
    """The masked LM, and why the checkpoint has no head for it; empty where it has one."""
    if not (folder / "manifest.json").is_file():  # the models of the store were checked when they came in
        check_declared_size(folder, partial(_build, folder))
    with as_invalid_model("the model cannot be loaded"):  # every parser and shape check below has errors of its own
        model, found = AutoModelForMaskedLM.from_pretrained(
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
    if inside := [name for name in lacking if name.startswith(inner)]:
        raise InvalidModel(f"the model's weights lack {len(inside)} tensors of its encoder, {inside[0]} first")
    return model, _headless(lacking, misfits)


def _build(folder: Path) -> PreTrainedModel:
    """The architecture that config.json describes, without weights."""
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    return cast(PreTrainedModel, AutoModelForMaskedLM.from_config(config))


def _headless(lacking: Sequence[str], misfits: Sequence[tuple[str, list[int], list[int]]]) -> str:
    """Why a model has no masked-LM head, as the end of a sentence; empty where it has one.

    lacking: the head's tensors that the weights lack. misfits: its tensors of other shapes, as stored and as needed.
    """
    if lacking:
        more = f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else ""
        return f"its weights have no masked-LM head: {', '.join(lacking[:_NAMED])}{more} are missing"
    if misfits:
        name, given, wanted = misfits[0]
        return f"its weights have no masked-LM head that fits: {name} is {given}, and config.json makes it {wanted}"
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


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Loads a folder's fast tokenizer; one that Cloze made with a fault of before is repaired, and the log says so.

    Raises InvalidModel if there is none.
    """
    tokenizer = _read_tokenizer(folder)
    if not tokenizer.is_fast:
        tokenizer = make_fast(tokenizer)
    if keeps_space_before_mask(folder):
        strip_space_before_mask(tokenizer.backend_tokenizer)
        log.info("The tokenizer of %s was repaired: the mask token now includes the space before it", folder)
    if sentence_transformers.lower_cases(folder):
        _lower_case(tokenizer.backend_tokenizer)
    return tokenizer


def write_fast_tokenizer(folder: Path) -> str | None:
    """Writes the fast form of a tokenizer that transformers has in Python only, so that no load has to make it again.

    Returns the name of the Python class; None for a folder of another kind, where nothing is written.
    Raises InvalidModel as `load_tokenizer` does.
    """
    if read_json(folder / "config.json").get("model_type") not in TEXT.model_types:
        return None
    slow = _read_tokenizer(folder)
    if slow.is_fast:
        return None
    replaced, fast = tokenizer_class(folder), make_fast(slow)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink(missing_ok=True)  # a link: writing would follow it
    fast.save_pretrained(folder)
    return replaced


def _read_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    with as_invalid_model("the tokenizer cannot be loaded"):
        given = {"do_lower_case": False} if _keeps_case(folder) else {}
        reader = tokenizer_reader(folder)
        tokenizer: PreTrainedTokenizerBase = reader.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True, **given
        )
    return tokenizer


def _lower_case(backend: Tokenizer) -> None:
    """Makes a tokenizer lower-case texts before all else that it does to them, unless it has that step already."""
    given = backend.normalizer
    steps = [] if given is None else [given]
    if isinstance(given, normalizers.Sequence):
        steps = list(cast(Iterable[normalizers.Normalizer], given))
    if not any(isinstance(step, normalizers.Lowercase) for step in steps):
        backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), *steps])


def _keeps_case(folder: Path) -> bool:
    """Whether a bare vocab.txt, with no word about letters beside it, has entries that lower-casing never produces.

    The tokenizers that read it lower-case by default, which would make those entries useless.
    """
    file = folder / "vocab.txt"
    if not file.is_file() or any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer_config.json")):
        return False
    entries = file.read_text(encoding="utf-8", errors="replace").splitlines()
    words = [entry for entry in entries if not entry.startswith(("[", "<"))]
    return any(word != word.lower() for word in words)
