"""Tokenizers that transformers builds from a model of the library sentencepiece, compared with the library itself.

Repositories from before tokenizer.json hold such a model only. transformers has rules for each class of tokenizer, and
gives a plain one, without special tokens and without the space before the first word, to a class that it has none for.
"""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from sentencepiece import SentencePieceProcessor
from transformers import PreTrainedTokenizerBase

from app.errors import InvalidModel
from app.modalities.model_files import as_invalid_model

_OTHERS = ("tokenizer.json", "vocab.txt", "vocab.json")  # files that a tokenizer is read from rather than from a model
_WORD = re.compile("▁[a-z]+")  # lower case, which no class changes
_WORDS, _EACH = 300, 6  # words of the sample, and of each text


def check_sentencepiece(folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    """Compares the tokens of a sample. Does nothing for folders whose tokenizer is read from another file.

    Raises InvalidModel where they differ from those of the library.
    """
    files = list(folder.glob("*.model"))
    if len(files) != 1 or any((folder / name).is_file() for name in _OTHERS):
        return
    [file] = files
    with as_invalid_model(f"{file.name} is not a sentencepiece model"):
        pieces = SentencePieceProcessor(model_file=str(file))
    for text in _sample(pieces):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        if tokenizer.convert_ids_to_tokens(ids) != pieces.encode(text, out_type=str):
            raise InvalidModel(
                f"{type(tokenizer).__name__} does not split texts as the library sentencepiece does with"
                f" {file.name}; add the model's tokenizer.json to the folder"
            )


def _sample(pieces: SentencePieceProcessor) -> Iterator[str]:
    entries = (pieces.id_to_piece(number) for number in range(len(pieces)))
    words = list(islice((entry[1:] for entry in entries if _WORD.fullmatch(entry)), _WORDS))
    for start in range(0, len(words), _EACH):
        yield " ".join(words[start : start + _EACH])
