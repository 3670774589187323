"""Vectors of tokens, words, chunks and layers, against transformers and plain loops."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from app.errors import InputTooLong, InvalidValue
from app.modalities.embedding import ChunkOptions, EmbedItem, EmbedResult
from app.modalities.text.chunks import cut_chunks, lay_windows
from app.modalities.text.objective import TextObjective
from app.types import Pooling, Task, TruncationSide
from tests.fakes.perform import perform
from tests.fakes.tiny_models import ARCHITECTURES, MAX_LENGTH

TEXT = "Naïve lions, chase the zebras!"
LONG = "The lions chase zebras near water, and rest. " * 12


def embed(served: TextObjective, given: Any, **options: Any) -> EmbedResult:
    other = EmbedItem("A quick brown fox")  # in the same batch
    return perform(served.tasks[Task.EMBED], [EmbedItem(given, normalize=False, **options), other])[0]


def states(served: TextObjective, text: str, layer: int = -1) -> np.ndarray:
    """The hidden states of a text by itself, from transformers."""
    inputs = served.tokenizer(text, return_tensors="pt")
    with torch.inference_mode():
        return served.model.base_model(**inputs, output_hidden_states=True).hidden_states[layer][0].numpy()


def test_tokens_have_their_characters(bert: TextObjective) -> None:
    result = embed(bert, TEXT, output="tokens")

    np.testing.assert_allclose(result.vector, states(bert, TEXT), atol=1e-5)
    assert result.spans is not None
    assert [part.id for part in result.spans] == bert.tokenizer(TEXT)["input_ids"]
    assert [part.special for part in result.spans] == [True, *[False] * (len(result.spans) - 2), True]
    inner = result.spans[1:-1]
    assert all(part.text == TEXT[part.start : part.end] for part in inner)
    assert "".join(part.text for part in inner) == TEXT.replace(" ", "")
    assert (result.spans[0].text, result.spans[0].start) == ("[CLS]", None)


def test_tokens_of_a_prompt_and_of_a_cut_text(bert: TextObjective) -> None:
    result = embed(bert, TEXT, output="tokens", prompt="the water ")
    np.testing.assert_allclose(result.vector, states(bert, "the water " + TEXT), atol=1e-5)
    located = [part for part in result.spans or () if part.start is not None]
    assert "".join(part.text for part in located) == TEXT.replace(" ", "")

    cut = embed(bert, LONG, output="tokens", truncate=True, truncation_side=TruncationSide.LEFT)
    assert cut.spans is not None and cut.spans[-2].end == len(LONG.rstrip())
    assert all(part.text == LONG[part.start : part.end] for part in cut.spans[1:-1])
    assert len(embed(bert, LONG, output="tokens", max_tokens=5).vector) == 5
    (ids,) = {tuple(embed(bert, (5, 6), output="tokens").vector.shape)}
    assert ids == (4, 32)


def test_words_are_means_of_their_tokens(bert: TextObjective) -> None:
    result = embed(bert, TEXT, output="words", prompt="the water ")

    encoding, vectors = bert.tokenizer("the water " + TEXT), states(bert, "the water " + TEXT)
    words = [word for word in dict.fromkeys(encoding.word_ids()) if word is not None][2:]
    expected = [vectors[[word == each for each in encoding.word_ids()]].mean(0) for word in words]
    np.testing.assert_allclose(result.vector, expected, atol=1e-5)
    assert [part.text for part in result.spans or ()] == ["Naïve", "lions", ",", "chase", "the", "zebras", "!"]
    assert all(part.text == TEXT[part.start : part.end] for part in result.spans or ())
    with pytest.raises(InvalidValue, match="only a text has words"):
        embed(bert, (5, 6), output="words")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_layers_are_those_of_transformers(objectives: Any, name: str) -> None:
    served = objectives(name)
    for layer in (0, 1, -1, -2):
        expected = states(served, TEXT, layer)
        np.testing.assert_allclose(embed(served, TEXT, layer=layer, output="tokens").vector, expected, atol=1e-4)
        pooled = embed(served, TEXT, layer=layer, pooling=Pooling.MEAN).vector
        np.testing.assert_allclose(pooled, expected.mean(0), atol=1e-4)


def test_layers_of_one_batch(bert: TextObjective) -> None:
    items = [EmbedItem(TEXT, normalize=False, layer=layer) for layer in (0, None, 1)]
    items.append(EmbedItem(LONG, normalize=False, output="words", truncate=True))
    alone = [perform(bert.tasks[Task.EMBED], [item])[0].vector for item in items]
    for found, expected in zip(perform(bert.tasks[Task.EMBED], items), alone, strict=True):
        np.testing.assert_allclose(found.vector, expected, atol=1e-5)


@pytest.mark.parametrize("layer", [3, -4])
def test_layers_that_there_are_not(bert: TextObjective, layer: int) -> None:
    with pytest.raises(InvalidValue, match="the model has 2 layers") as caught:
        embed(bert, TEXT, layer=layer)
    assert caught.value.param == "layer"


@pytest.mark.parametrize(("size", "overlap"), [(256, 0), (20, 0), (20, 7), (1, 0)])
def test_a_chunk_is_embedded_as_its_text(bert: TextObjective, size: int, overlap: int) -> None:
    result = embed(bert, LONG, output="chunks", chunks=ChunkOptions(size, overlap), prompt="the water ")

    assert result.spans is not None and result.spans[0].start == 0
    assert result.spans[-1].end == len(LONG.rstrip())
    room = min(size, MAX_LENGTH - 4)
    for part, vector in zip(result.spans, result.vector, strict=True):
        assert part.text == LONG[part.start : part.end]
        if size > 1:  # words are whole
            assert len(bert.tokenizer(part.text, add_special_tokens=False)["input_ids"]) <= room
            np.testing.assert_allclose(vector, embed(bert, part.text, prompt="the water ").vector, atol=1e-5)


@pytest.mark.parametrize("text", [TEXT, LONG])
def test_late_chunks_are_means_of_tokens_that_see_the_text(bert: TextObjective, text: str) -> None:
    result = embed(bert, text, output="chunks", chunks=ChunkOptions(7, 2, late=True))

    encoding = bert.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids, vectors = encoding["input_ids"], {}
    cls, sep = bert.tokenizer.cls_token_id, bert.tokenizer.sep_token_id
    for window in lay_windows(len(ids), MAX_LENGTH - 2):
        start, end = window.span
        with torch.inference_mode():
            row = bert.model.base_model(torch.tensor([[cls, *ids[start:end], sep]])).last_hidden_state[0].numpy()
        vectors |= {place: row[1 + place - start] for place in range(*window.owned)}
    assert sorted(vectors) == list(range(len(ids)))
    for (first, last), part, vector in zip(
        cut_chunks(encoding.word_ids(), 7, 2), result.spans or (), result.vector, strict=True
    ):
        np.testing.assert_allclose(vector, np.mean([vectors[at] for at in range(first, last)], axis=0), atol=1e-5)
        assert (part.start, part.end) == (encoding["offset_mapping"][first][0], encoding["offset_mapping"][last - 1][1])


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"chunks": ChunkOptions(2, 0), "truncate": False}, "chunk_size"),
        ({"chunks": ChunkOptions(100, 63)}, "chunk_overlap"),
        ({"chunks": ChunkOptions(8, late=True), "pooling": Pooling.CLS}, "late_chunking"),
        ({"max_tokens": 9}, "truncate_prompt_tokens"),
    ],
)
def test_chunks_that_are_refused(bert: TextObjective, options: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        embed(bert, "the lions " * 1200, output="chunks", **options)
    assert caught.value.param == param


def test_a_document_has_a_bound(bert: TextObjective) -> None:
    with pytest.raises(InputTooLong):
        embed(bert, "the " * 64 * MAX_LENGTH, output="chunks")
    cut = embed(bert, LONG, output="chunks", truncate=True, chunks=ChunkOptions(20))
    assert (cut.spans or ())[-1].end < len(LONG) // 2


@pytest.mark.parametrize(("size", "overlap"), [(5, 0), (5, 2), (4, 3), (1, 0)])
def test_chunks_cover_a_text_and_advance(size: int, overlap: int) -> None:
    words = [at // 3 for at in range(50)] + [99] * 20  # a word of twenty tokens at the end
    chunks = cut_chunks(words, size, overlap)
    assert (chunks[0][0], chunks[-1][1]) == (0, 70)
    for (start, end), (following, _) in pairwise(chunks):
        assert 0 < end - start <= size and end - overlap <= following <= end
        assert following - start >= max(1, (size - overlap) / 2)
