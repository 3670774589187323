"""Scores, beside a plain loop over transformers' own forward: one token at a time, nothing batched."""

import math
from typing import Any

import pytest
import torch
from transformers import AutoModelForMaskedLM

from app.errors import AppError, EmptyInput, InputTooLong, InvalidValue
from app.methods.tokenizers import TokenizerOptions
from app.modalities.text.items import ScoreItem, ScoreMethod, ScoreResult
from app.modalities.text.load import load_text
from app.modalities.text.new_tokenizers.kinds import train_tokenizer
from app.modalities.text.objective import TextObjective
from app.types import Task, TruncationSide
from tests.fakes.perform import perform, rows_of
from tests.fakes.tiny_models import ARCHITECTURES, MAX_LENGTH, tiny_config

TEXT = "The zebras chase unbelievable crème brûlée, again!"


def score(objective: TextObjective, *texts: str, **options: Any) -> list[ScoreResult]:
    return perform(objective.tasks[Task.SCORE], [ScoreItem(text, **options) for text in texts])


def expected(objective: TextObjective, text: str, method: ScoreMethod) -> list[tuple[int, float, range]]:
    """(token, log-probability, ranks) of each token that is not special.

    Scores that are equal but for the order of float additions may take each other's rank.
    """
    encoding = objective.tokenizer(text, return_special_tokens_mask=True)
    ids, special, words = encoding["input_ids"], encoding["special_tokens_mask"], encoding.word_ids()
    found = []
    for place, token in enumerate(ids):
        if special[place]:
            continue
        hidden = torch.tensor([ids])
        hidden[0, place] = objective.tokenizer.mask_token_id
        if method is ScoreMethod.WITHIN_WORD_L2R:
            for later in range(place + 1, len(ids)):
                if words[later] == words[place]:
                    hidden[0, later] = objective.tokenizer.mask_token_id
        with torch.no_grad():
            scores = objective.model(input_ids=hidden, attention_mask=torch.ones_like(hidden)).logits[0, place]
        scores = scores.log_softmax(-1)
        own, near = scores[token], 1e-5
        ranks = range(int((scores > own + near).sum()) + 1, int((scores > own - near).sum()) + 1)
        found.append((token, float(own), ranks))
    return found


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("method", ScoreMethod)
def test_it_is_the_plain_loop(objectives: Any, architecture: str, method: ScoreMethod) -> None:
    objective = objectives(architecture)
    (result,) = score(objective, TEXT, method=method)
    reference = expected(objective, TEXT, method)
    assert [t.token for t in result.scored] == [token for token, _, _ in reference]
    assert all(t.rank in ranks for t, (_, _, ranks) in zip(result.scored, reference, strict=True))
    assert [t.log_prob for t in result.scored] == pytest.approx([p for _, p, _ in reference], rel=1e-4)
    total = sum(p for _, p, _ in reference)
    assert result.log_likelihood == pytest.approx(total, rel=1e-4)
    assert result.pseudo_perplexity == pytest.approx(math.exp(-total / len(reference)), rel=1e-4)


def test_the_methods_differ_only_in_words_of_several_tokens(bert: TextObjective) -> None:
    (l2r,), (original,) = (score(bert, TEXT, method=method) for method in ScoreMethod)
    last_of_word = [
        i for i, token in enumerate(l2r.scored) if i + 1 == len(l2r.scored) or l2r.scored[i + 1].word != token.word
    ]
    assert 3 < len(last_of_word) < len(l2r.scored)
    differing = [i for i in range(len(l2r.scored)) if abs(l2r.scored[i].log_prob - original.scored[i].log_prob) > 1e-4]
    assert differing and not set(differing) & set(last_of_word)


def test_offsets_words_and_strings(bert: TextObjective) -> None:
    text = "Paris boils  again!"
    (result,) = score(bert, text)
    assert "".join(text[t.start : t.end] for t in result.scored) == "Parisboilsagain!"
    assert sorted({t.word for t in result.scored}) == [0, 1, 2, 3]
    assert result.scored[0].token_str == "paris"


def test_candidates_are_the_best_of_the_vocabulary(bert: TextObjective) -> None:
    few, none = score(bert, TEXT, top_k=3)[0], score(bert, TEXT)[0]
    for token, bare in zip(few.scored, none.scored, strict=True):
        scores = [candidate.score for candidate in token.candidates]
        assert len(scores) == 3 and scores == sorted(scores, reverse=True)
        assert bare.candidates == []
        own = [c.score for c in token.candidates if c.token == token.token]
        assert bool(own) == (token.rank <= 3)
        assert all(math.log(p) == pytest.approx(token.log_prob, rel=1e-4) for p in own)


def test_special_tokens_are_context_and_unknown_words_are_scored(bert: TextObjective) -> None:
    (result,) = score(bert, "The [MASK] 漢 chase [SEP] .")
    assert [t.token_str for t in result.scored] == ["the", "[UNK]", "chase", "."]
    with pytest.raises(InvalidValue, match="no token to score"):
        score(bert, "[MASK] [SEP]")


def test_rows_share_a_text_and_each_hides_its_own(bert: TextObjective) -> None:
    rows = rows_of(bert.tasks[Task.SCORE], ScoreItem(TEXT))
    batch = bert.tasks[Task.SCORE].collate([row.inputs for row in rows])
    own = batch.texts.inputs["input_ids"][0, : sum(batch.texts.lengths)]
    masked = (own.view(len(rows), -1) == bert.tokenizer.mask_token_id).sum(1)
    assert len({id(row.inputs.ids) for row in rows}) == 1
    assert masked.tolist() == [len(row.inputs.masked) for row in rows]
    assert batch.tokens.tolist() == [t.token for t in score(bert, TEXT)[0].scored]


@pytest.mark.parametrize("side", TruncationSide)
def test_what_truncation_leaves_is_scored(bert: TextObjective, side: TruncationSide) -> None:
    words = ["the", "lions"] + ["of"] * 100 + ["paris", "chase"]
    (result,) = score(bert, " ".join(words), truncate=True, truncation_side=side)
    assert result.tokens == MAX_LENGTH
    kept = [t.token_str for t in result.scored]
    assert kept == (words[: MAX_LENGTH - 2] if side is TruncationSide.RIGHT else words[-MAX_LENGTH + 2 :])
    with pytest.raises(InputTooLong):
        score(bert, " ".join(words))


@pytest.mark.parametrize(("text", "error"), [("", EmptyInput), (" ", EmptyInput), ("\ud800", InvalidValue)])
def test_mistakes_are_told_before_anything_runs(bert: TextObjective, text: str, error: type[AppError]) -> None:
    with pytest.raises(error) as caught:
        bert.tasks[Task.SCORE].steps(ScoreItem(text))
    assert caught.value.param == "input"


def test_a_bare_encoder_does_not_score(folders: Any, tmp_path: Any) -> None:
    from tests.fakes.tiny_models import tiny_bert_folder

    assert Task.SCORE not in load_text(tiny_bert_folder(tmp_path, head=False)).tasks


def test_a_model_that_computes_nan_is_an_error(folders: Any) -> None:
    broken = load_text(folders("bert"))
    with torch.no_grad():
        broken.model.get_output_embeddings().bias[7] = torch.nan
    with pytest.raises(AppError, match="not finite"):
        score(broken, TEXT)


def test_no_kmer_tells_the_letter_that_is_scored() -> None:
    text = "ACGTTGCA"
    tokenizer = train_tokenizer([text, text[::-1]] * 3, TokenizerOptions(tokenizer="kmer", kmer_length=3), 32)
    config = tiny_config()
    config.vocab_size = len(tokenizer)
    objective = TextObjective(AutoModelForMaskedLM.from_config(config), tokenizer, has_head=True)
    rows = rows_of(objective.tasks[Task.SCORE], ScoreItem(text))
    assert len(rows) == len(text)
    for at, row in enumerate(rows):
        shown = [place for place in range(len(text)) if place + 1 not in row.inputs.masked]
        covered = {letter for place in shown for letter in range(place, place + 3)}
        assert row.inputs.masked[0] == at + 1
        assert at not in covered
        assert set(range(at + 1, len(text))) <= covered
