"""The parts of an import that need torch or tokenizers."""

from app.modalities.pickled_weights import convert_pickled
from app.modalities.registry import identify, load
from app.modalities.text.regex_tokenizer import write_regex_tokenizer
from app.store.importer import ImportTools


def import_tools() -> ImportTools:
    return ImportTools(check=identify, load=load, convert=convert_pickled, write_tokenizer=write_regex_tokenizer)
