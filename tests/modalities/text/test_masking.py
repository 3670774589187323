import numpy as np
import pytest

from app.modalities.text.masking import choose_tokens, choose_words, corrupt, span_sampler

SAMPLERS = {"token": choose_tokens, "whole-word": choose_words, "span": span_sampler(3.0)}


def sequence(length: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(maskable, continues): specials at both ends and in the middle, words of up to four tokens."""
    rng = np.random.default_rng(seed)
    maskable = np.ones(length, dtype=bool)
    maskable[[0, length // 2, length // 2 + 1, length - 1]] = False
    return maskable, rng.random(length) < 0.3


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
def test_a_sampler_hides_the_rate_and_never_a_special_token(sampler) -> None:
    hidden = 0
    for seed in range(50):
        maskable, continues = sequence(seed=seed)
        chosen = sampler(maskable, continues, 0.3, np.random.default_rng(seed))
        assert not (chosen & ~maskable).any()
        assert 1 <= chosen.sum() <= np.ceil(0.3 * maskable.sum())
        hidden += chosen.sum()
    assert hidden > 0.24 * 50 * 196


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
def test_the_same_generator_hides_the_same_positions(sampler) -> None:
    maskable, continues = sequence()
    first, again, other = (sampler(maskable, continues, 0.2, np.random.default_rng(s)) for s in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize("sampler", [choose_words, span_sampler(3.0)])
def test_words_are_hidden_whole(sampler) -> None:
    maskable, continues = sequence()
    chosen = sampler(maskable, continues, 0.3, np.random.default_rng(3))
    inside = maskable[1:] & maskable[:-1] & continues[1:]
    assert (chosen[1:] == chosen[:-1])[inside].all()


def test_spans_are_longer_than_words() -> None:
    def runs(chosen: np.ndarray) -> float:
        return chosen.sum() / (np.diff(chosen.astype(int), prepend=0) == 1).sum()

    maskable, continues = np.ones(2000, dtype=bool), np.zeros(2000, dtype=bool)
    words, spans = (s(maskable, continues, 0.2, np.random.default_rng(0)) for s in (choose_words, span_sampler(4.0)))
    assert runs(spans) > 2 * runs(words)


@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
def test_nothing_to_hide_hides_nothing(sampler) -> None:
    nothing = np.zeros(3, dtype=bool)
    assert not sampler(nothing, nothing, 0.5, np.random.default_rng(0)).any()


def test_corruption_follows_the_shares_and_touches_only_chosen_positions() -> None:
    ids = np.full(100_000, 7)
    chosen = np.arange(100_000) < 50_000
    ordinary = np.arange(1000, 2000)
    rng = np.random.default_rng(0)
    seen = corrupt(ids, chosen, mask_id=1, ordinary_ids=ordinary, mask_share=0.8, random_share=0.1, rng=rng)
    assert (seen[~chosen] == 7).all()
    shares = [(seen[chosen] == 1).mean(), np.isin(seen[chosen], ordinary).mean(), (seen[chosen] == 7).mean()]
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.01)
    assert (ids == 7).all()
