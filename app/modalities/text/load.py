"""A folder of safetensors → TextObjective, with nothing in it executed."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import torch
import transformers
from tokenizers import Tokenizer, normalizers
from transformers import AutoModelForMaskedLM, PreTrainedModel, PreTrainedTokenizerBase

from app.errors import InvalidModel
from app.modalities.model_files import as_invalid_model, check_config, read_config, read_json
from app.modalities.text import TEXT, sentence_transformers
from app.modalities.text.encoder import vocabulary_size
from app.modalities.text.forward import ForwardPath
from app.modalities.text.objective import TextObjective, knows_mask, longest_text, pad_token
from app.modalities.text.proof import ordinary_ids, prove
from app.modalities.text.sentencepiece_files import check_sentencepiece
from app.modalities.text.slow_tokenizers import make_fast, tokenizer_class, tokenizer_reader
from app.modalities.text.tokenizers import keep_whole, keeps_space_before_mask, strip_space_before_mask
from app.modalities.text.weights import load_weights

_TOKENIZER_FILES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")

KIND = "a text model"
_LEAST_SHARE = 2  # of a model's table that a tokenizer knows: half; tables are filled up to round sizes

log = logging.getLogger(__name__)

# What a checkpoint lacks is found and reported here; its tables and bars only bury the log.
transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()


def load_text(
    folder: Path, *, new_head: bool = False, keep_head: bool = True, dtype: torch.dtype = torch.float32
) -> TextObjective:
    """Loads a masked LM, a bare encoder or a sentence-transformers folder, in `dtype` on the CPU.

    Weights that are stored in that dtype are not read but mapped into memory.

    A checkpoint without the weights of an MLM head embeds only; with `new_head` it is given a
    random one instead, from torch's global generator, for training to fill. Without `keep_head` the result is a bare
    encoder.
    Raises InvalidModel for everything that cannot be or must not be loaded.
    """
    config = read_config(folder, TEXT.model_types, KIND)
    check_tokenizer(folder)
    pipeline = sentence_transformers.read(folder)
    model, headless = load_weights(folder, dtype, config, AutoModelForMaskedLM)
    if not keep_head:
        headless = headless or "its masked-LM head was left out"
    has_head = not headless
    tokenizer = load_tokenizer(folder)
    if pipeline.multi_vector is not None:
        keep_whole(tokenizer, pipeline.multi_vector.markers)
    if not has_head and not new_head:
        model = cast(PreTrainedModel, model.base_model)
    return TextObjective(
        model,
        tokenizer,
        has_head=has_head or new_head,
        headless=headless,
        new_head=new_head and not has_head,
        path=recorded_path(folder) or _prove_path(model.eval(), tokenizer, has_head=has_head),
        pipeline=pipeline,
    )


def recorded_path(folder: Path) -> ForwardPath | None:
    """The forward path in the manifest of a stored model; None for a folder from elsewhere, or of before."""
    if not (folder / "manifest.json").is_file():
        return None
    name = read_json(folder / "manifest.json").get("forward_path")
    try:
        return ForwardPath.parse(name) if name else None
    except ValueError as error:
        raise InvalidModel(f"manifest.json names the forward path {name!r}, which is not known") from error


def _prove_path(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, *, has_head: bool) -> ForwardPath:
    """Raises InvalidModel for a model that gives wrong results, or a tokenizer that is not the model's."""
    model.config.return_dict = True
    return prove(
        model,
        pad_token(model, tokenizer),
        find_ordinary(model, tokenizer),
        mask_id=tokenizer.mask_token_id if knows_mask(model, tokenizer) else None,
        max_length=longest_text(model, tokenizer),
        has_head=has_head,
    )


def find_ordinary(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Returns the ids that are not special tokens. Raises InvalidModel for a tokenizer that is not the model's."""
    entries, rows = len(tokenizer), vocabulary_size(model)
    if entries * _LEAST_SHARE < rows:
        raise InvalidModel(
            f"the tokenizer has {entries} entries and the model {rows}: its vocabulary file is not of the kind that"
            f" {type(tokenizer).__name__} reads"
        )
    ordinary = ordinary_ids(entries, tokenizer.all_special_ids, model)
    if not ordinary:
        raise InvalidModel("the tokenizer has special tokens only")
    return ordinary


def check_text(folder: Path) -> None:
    """Judges the configuration, modules and tokenizer of a folder, whose weights need not be there.

    Raises InvalidModel.
    """
    check_config(folder, TEXT.model_types, KIND)
    sentence_transformers.check(folder)
    check_tokenizer(folder)
    check_sentencepiece(folder, load_tokenizer(folder))


def check_tokenizer(folder: Path) -> None:
    """Raises InvalidModel for a folder without a tokenizer."""
    if not any(file.is_file() for name in _TOKENIZER_FILES for file in folder.glob(name)):
        # transformers would silently make up an empty vocabulary.
        raise InvalidModel("the model folder has no tokenizer (tokenizer.json or a vocabulary file)")


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
