from itertools import pairwise

import numpy as np
import pytest

from app.errors import AppError, EmptyInput, InputTooLong, InvalidValue
from app.modalities.embedding import EmbedItem
from app.modalities.text.objective import TextObjective
from app.modalities.text.windows import MAX_WINDOWS
from app.types import Pooling, Task, TruncationSide
from tests.fakes.perform import perform
from tests.fakes.tiny_models import MAX_LENGTH

TEXT = "The lions chase the zebras."


def embed(objective: TextObjective, given: str | tuple[int, ...], **options: object) -> np.ndarray:
    return perform(objective.tasks[Task.EMBED], [EmbedItem(given, **options)])[0].vector


def test_pooling_is_over_the_tokens_of_the_input_only(bert: TextObjective) -> None:
    padding = EmbedItem("A quick brown fox jumps over the lazy dog, again and again!")
    tokens = embed(bert, TEXT, output="tokens", normalize=False)
    expected = {Pooling.MEAN: tokens.mean(0), Pooling.CLS: tokens[0], Pooling.MAX: tokens.max(0)}
    items = [EmbedItem(TEXT, pooling=p, normalize=False) for p in Pooling]
    for pooling, result in zip(Pooling, perform(bert.tasks[Task.EMBED], [*items, padding]), strict=False):
        np.testing.assert_allclose(result.vector, expected[pooling], atol=1e-5)
    np.testing.assert_allclose(embed(bert, TEXT, normalize=False), tokens.mean(0), atol=1e-6)


def test_vectors_have_unit_length_by_default(bert: TextObjective) -> None:
    vector = embed(bert, TEXT)
    assert (vector.dtype, vector.shape) == (np.float32, (32,))
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(embed(bert, TEXT, output="tokens"), axis=-1) == pytest.approx(np.ones(8), abs=1e-5)


def test_dimensions_cut_before_normalising(bert: TextObjective) -> None:
    whole, cut = embed(bert, TEXT, normalize=False), embed(bert, TEXT, dimensions=5, force_dimensions=True)
    np.testing.assert_allclose(cut, whole[:5] / np.linalg.norm(whole[:5]), atol=1e-6)


@pytest.mark.parametrize("dimensions", [0, -1, 33])
def test_dimensions_out_of_range(bert: TextObjective, dimensions: int) -> None:
    with pytest.raises(InvalidValue, match=rf"dimensions is {dimensions}; .* 32") as caught:
        embed(bert, TEXT, dimensions=dimensions)
    assert caught.value.param == "dimensions"


def test_vectors_are_cut_where_the_model_was_trained_for_it(bert: TextObjective) -> None:
    with pytest.raises(InvalidValue, match=r'not a Matryoshka model.*"force"') as caught:
        embed(bert, TEXT, dimensions=5)
    assert caught.value.param == "dimensions"
    np.testing.assert_array_equal(embed(bert, TEXT, dimensions=32), embed(bert, TEXT))


def test_token_ids_embed_as_their_text(bert: TextObjective) -> None:
    wrapped = tuple(bert.tokenizer(TEXT)["input_ids"])
    for ids in (wrapped, wrapped[1:-1]):
        np.testing.assert_array_equal(embed(bert, ids), embed(bert, TEXT))


@pytest.mark.parametrize("wrong", [-1, 100_000])
def test_token_ids_outside_the_vocabulary(bert: TextObjective, wrong: int) -> None:
    with pytest.raises(InvalidValue, match=rf"token id {wrong} is outside .* {bert.model.config.vocab_size}"):
        embed(bert, (5, wrong))


@pytest.mark.parametrize("empty", ["", "  ", ()])
def test_empty_input(bert: TextObjective, empty: str | tuple[int, ...]) -> None:
    with pytest.raises(EmptyInput):
        embed(bert, empty)


def test_truncation_keeps_the_asked_side(bert: TextObjective) -> None:
    text = "lions " + "the " * 100 + "zebras"
    with pytest.raises(InputTooLong, match=rf"tokens and the model reads at most {MAX_LENGTH}"):
        embed(bert, text)
    content = bert.tokenizer(text, add_special_tokens=False)["input_ids"]
    for side, kept in ((TruncationSide.RIGHT, content[:62]), (TruncationSide.LEFT, content[-62:])):
        np.testing.assert_allclose(
            embed(bert, text, truncate=True, truncation_side=side), embed(bert, tuple(kept)), atol=1e-6
        )


LONG = "The lions chase zebras near water, and rest. " * 20


def test_a_long_text_is_the_mean_of_its_windows(bert: TextObjective) -> None:
    content = bert.tokenizer(LONG, add_special_tokens=False)["input_ids"]
    room = MAX_LENGTH - 2
    count = -(-len(content) // room)
    bounds = [round(len(content) * nth / count) for nth in range(count + 1)]
    parts = [tuple(content[a:b]) for a, b in pairwise(bounds)]
    vectors = [embed(bert, part, normalize=False) for part in parts]
    mean = np.average(vectors, axis=0, weights=[len(part) + 2 for part in parts])

    (found,) = perform(bert.tasks[Task.EMBED], [EmbedItem(LONG, split=True)])

    assert count > 2 and max(map(len, parts)) - min(map(len, parts)) <= 1
    assert (found.parts, found.tokens) == (count, len(content) + 2 * count)
    np.testing.assert_allclose(found.vector, mean / np.linalg.norm(mean), atol=1e-6)
    np.testing.assert_array_equal(embed(bert, TEXT, split=True), embed(bert, TEXT))


def test_a_text_of_too_many_windows_is_refused(bert: TextObjective) -> None:
    for text in ("the " * (MAX_WINDOWS * MAX_LENGTH), "x" * 10**6):
        with pytest.raises(InputTooLong, match=f"more than {MAX_WINDOWS} windows of the {MAX_LENGTH} tokens"):
            embed(bert, text, split=True)
    with pytest.raises(InputTooLong):
        embed(bert, LONG, split=True, output="tokens")


def test_numbers_that_are_not_finite_are_an_error(bert: TextObjective) -> None:
    steps = bert.tasks[Task.EMBED].steps(EmbedItem(TEXT))
    next(steps)
    with pytest.raises(AppError, match="not finite"):
        steps.send([np.full(32, np.inf, dtype=np.float32)])


def test_tokenize_gives_the_users_own_characters(bert: TextObjective) -> None:
    tokens = list(bert.tokenize("Naïve Paris"))
    assert (tokens[0].text, tokens[0].special, tokens[0].start) == ("[CLS]", True, None)
    assert (tokens[-2].text, tokens[-2].start, tokens[-2].stop) == ("Paris", 6, 11)
    assert "".join(t.text for t in bert.tokenize("Naïve Paris", add_special_tokens=False)) == "NaïveParis"
