"""The parts of an import that need torch or tokenizers."""

from app.modalities.pickled_weights import convert_pickled
from app.modalities.registry import check_folder, load
from app.modalities.text.architecture import find_architecture
from app.modalities.text.load import write_fast_tokenizer
from app.modalities.text.lora import check_adapter, merge_adapter
from app.modalities.text.regex_tokenizer import write_regex_tokenizer
from app.modalities.weight_names import strip_prefixes
from app.store.importer import ImportTools


def import_tools() -> ImportTools:
    return ImportTools(
        check=check_folder,
        find_architecture=find_architecture,
        load=load,
        convert=convert_pickled,
        strip_prefixes=strip_prefixes,
        write_fast_tokenizer=write_fast_tokenizer,
        write_tokenizer=write_regex_tokenizer,
        check_adapter=check_adapter,
        merge_adapter=merge_adapter,
    )
