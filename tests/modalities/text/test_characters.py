import pytest

from app.modalities.text.characters import count_characters
from tests.fakes.tiny_models import tiny_tokenizer


@pytest.mark.parametrize("kind", ["bert", "roberta", "xlm-roberta"])
def test_a_text_has_as_many_characters_in_every_tokenizer(kind: str) -> None:
    """Up to the space before its first word, which only some tokenizers have."""
    tokenizer, text = tiny_tokenizer(kind), "the lions chase the deer, and the birds sing"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.unk_token_id not in ids
    assert count_characters(tokenizer)[ids].sum() - len(text) in (0, 1)


def test_bytes_of_one_character_count_once() -> None:
    tokenizer, text = tiny_tokenizer("roberta"), "Zürich 東京 🦁 naïve"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert count_characters(tokenizer)[ids].sum() - len(text) in (0, 1)
