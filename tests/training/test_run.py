"""Runs from files to a folder that can be served, and what interruption must not change."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, PreTrainedTokenizerFast

from app.errors import InvalidData, InvalidValue
from app.methods.image import MAE_PRESETS
from app.modalities.image.builder import build_preset
from app.modalities.text.encoder import vocabulary_size
from app.modalities.text.items import FillMaskItem
from app.modalities.text.load import load_text
from app.training.data.source_file import SourceFile
from app.training.job import TrainingJob
from app.training.run import run, use_eager_attention
from app.types import Task
from tests.fakes.perform import perform
from tests.fakes.runs import Recorder, same, weights
from tests.fakes.tiny_models import CORPUS, tiny_text_folder


def test_training_from_scratch_learns_and_gives_a_servable_folder(job: Callable[..., TrainingJob]) -> None:
    hooks = Recorder()
    result = run(
        job(max_steps=90, batch_tokens=512, learning_rate=2e-3, eval_interval=30, validation_fraction=0.2), hooks
    )
    losses = hooks.series("eval_loss")
    assert len(losses) == 4  # the first one before the first step
    assert losses[-1] < hooks.series("train_loss")[0] - 0.5
    assert losses[-1] < losses[0]
    assert hooks.verdict["value"] == losses[-1] and hooks.verdict["summary"]
    assert (hooks.chosen["learning_rate"], hooks.chosen["masking_rate"]) == (2e-3, 0.3)
    assert hooks.chosen["steps"] == 90 and hooks.chosen["tokenizer"] and hooks.chosen["vocab_size"] <= 300
    for name in ("commonest", "unigram", "bigram"):
        baseline = hooks.series(f"eval_{name}_loss")
        assert len(baseline) == 4 and len(set(baseline)) == 1
    assert losses[0] > hooks.series("eval_unigram_loss")[0] - 0.5  # before its first step it knows frequencies at most
    shown = [json.loads(content) for content in hooks.artifacts.values()]
    assert list(hooks.artifacts) == ["0.json", "30.json", "60.json", "90.json"]
    truths = [[[mask["truth"] for mask in item["masks"]] for item in each["items"]] for each in shown]
    assert len(truths[0]) == 5 and all(each == truths[0] for each in truths)
    assert shown[0] != shown[-1]
    for item in shown[0]["items"]:
        assert item["text"].count(shown[0]["mask_token"]) == len(item["masks"])
    assert result.metrics["eval_perplexity"] == pytest.approx(np.exp(result.metrics["eval_loss"]))
    assert hooks.fractions == sorted(hooks.fractions) and hooks.fractions[-1] == 1.0
    assert set(map(str, load_text(result.folder).tasks)) == set(map(str, result.tasks))


@pytest.mark.parametrize("model", ["bert", "roberta", "modernbert"])
def test_training_continues_from_a_stored_model(job: Callable[..., TrainingJob], tmp_path: Path, model: str) -> None:
    base = tiny_text_folder(tmp_path / "base", model)
    result = run(job(model=base, max_steps=3), Recorder())
    before, after = load_text(base), load_text(result.folder)
    assert after.tokenizer.get_vocab() == before.tokenizer.get_vocab()
    assert any(not torch.equal(a, b) for a, b in zip(before.model.parameters(), after.model.parameters(), strict=True))


def test_a_bare_encoder_gets_a_head(job: Callable[..., TrainingJob], tmp_path: Path) -> None:
    base = tiny_text_folder(tmp_path / "base", "bert", head=False)
    assert not load_text(base).has_head
    result = run(job(model=base, max_steps=2), Recorder())
    assert load_text(result.folder).has_head


def test_a_new_head_may_have_more_rows_than_the_tokenizer(job: Callable[..., TrainingJob], tmp_path: Path) -> None:
    base = tiny_text_folder(tmp_path / "base", "xlm-roberta", head=False)
    padded = AutoModel.from_pretrained(base)
    padded.resize_token_embeddings(padded.config.vocab_size + 35)
    padded.save_pretrained(base)
    result = run(job(model=base, max_steps=1), Recorder())
    assert vocabulary_size(load_text(result.folder).model) == padded.config.vocab_size


def test_killed_while_it_saves_its_tokenizer_it_makes_another(
    job: Callable[..., TrainingJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(self: object, folder: Path) -> None:
        folder.mkdir()
        (folder / "tokenizer.json").write_text("{")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(PreTrainedTokenizerFast, "save_pretrained", die)
        with pytest.raises(KeyboardInterrupt):
            run(job(max_steps=1), Recorder())
    assert run(job(max_steps=1), Recorder()).outcome.state.step == 1


@pytest.mark.parametrize("tokenizer", ["bpe", "wordpiece"])
def test_a_model_fills_masks_as_it_was_trained(job: Callable[..., TrainingJob], tmp_path: Path, tokenizer: str) -> None:
    colours = {"sky": "blue", "snow": "white", "sun": "yellow"}
    facts = tmp_path / "facts.txt"
    facts.write_text("\n\n".join([f"The {thing} is {colour}." for thing, colour in colours.items()] * 100))
    asked = job(
        tokenizer=tokenizer, max_steps=120, eval_interval=120, learning_rate=3e-3, sequence_length=16, batch_tokens=512
    )
    result = run(replace(asked, training_files=(SourceFile(facts, facts.name),)), Recorder())
    handler = load_text(result.folder).tasks[Task.FILL_MASK]
    for spelling in (" [MASK].", "[MASK]."):
        items = [FillMaskItem(f"The {thing} is{spelling}") for thing in colours]
        best = [answer.masks[0].candidates[0] for answer in perform(handler, items)]
        assert [candidate.token_str.strip() for candidate in best] == list(colours.values())
        assert min(candidate.score for candidate in best) > 0.9


@pytest.mark.parametrize("accumulation", [1, 2])
@pytest.mark.parametrize("die_at", [1, 7, 16, 23])
def test_killed_and_resumed_equals_undisturbed_bit_for_bit(
    job: Callable[..., TrainingJob], accumulation: int, die_at: int
) -> None:
    # 64 documents make some 60 rows of 32, so that 4 rows a step begin a new epoch about every 15 steps.
    options = {"max_steps": 24, "checkpoint_interval": 5, "gradient_accumulation_steps": accumulation}
    undisturbed = run(job("a", **options), Recorder())
    with pytest.raises(KeyboardInterrupt):
        run(job("b", **options), Recorder(die_at=die_at))
    hooks = Recorder()
    resumed = run(job("b", **options), hooks)
    assert same(undisturbed, resumed)
    assert resumed.outcome.state.tokens == undisturbed.outcome.state.tokens
    assert any("Resumed" in m for m, _ in hooks.events) == (die_at >= 6)


def test_resumed_with_a_masking_schedule_it_equals_undisturbed_bit_for_bit(job: Callable[..., TrainingJob]) -> None:
    options = {"max_steps": 12, "checkpoint_interval": 5, "final_masking_rate": 0.1}
    hooks = Recorder()
    undisturbed = run(job("a", **options), hooks)
    assert (hooks.chosen["masking_rate"], hooks.chosen["final_masking_rate"]) == (0.3, 0.1)
    with pytest.raises(KeyboardInterrupt):
        run(job("b", **options), Recorder(die_at=8))
    assert same(undisturbed, run(job("b", **options), Recorder()))
    assert not same(undisturbed, run(job("c", **{**options, "final_masking_rate": None}), Recorder()))


def test_stopping_keeps_a_checkpoint_and_resuming_equals_undisturbed(job: Callable[..., TrainingJob]) -> None:
    undisturbed = run(job("a", max_steps=12), Recorder())
    hooks = Recorder(stop_at=5)
    stopped = run(job("b", max_steps=12), hooks)
    assert (stopped.outcome.stopped, stopped.outcome.state.step) == ("cancel", 5)
    assert hooks.checkpoints[-1] == 5
    assert same(undisturbed, run(job("b", max_steps=12), Recorder()))


def test_accumulating_gradients_equals_the_whole_batch(job: Callable[..., TrainingJob]) -> None:
    whole = run(job("a", max_steps=3), Recorder())
    parts = run(job("b", max_steps=3, gradient_accumulation_steps=4), Recorder())
    for key, value in weights(whole).items():
        np.testing.assert_allclose(value, weights(parts)[key], atol=1e-4)


def test_accumulating_a_teachers_gradients_equals_the_whole_batch(
    job: Callable[..., TrainingJob], tmp_path: Path
) -> None:
    teacher = tiny_text_folder(tmp_path / "teacher", "bert", head=False, seed=1)
    base = tiny_text_folder(tmp_path / "base", "bert")

    def taught(name: str, **options: object) -> dict[str, np.ndarray]:
        alike = job(name, base, max_steps=3, teacher="teacher", teacher_weight=50.0, **options)
        return weights(run(replace(alike, model_folders={"teacher": teacher}), Recorder()))

    whole, parts = taught("a"), taught("b", gradient_accumulation_steps=4)
    for key, value in whole.items():
        np.testing.assert_allclose(value, parts[key], atol=1e-4)


def test_another_seed_is_another_run(job: Callable[..., TrainingJob]) -> None:
    assert not same(run(job("a", max_steps=2), Recorder()), run(job("b", max_steps=2, seed=1), Recorder()))


@pytest.mark.parametrize(
    ("limit", "steps"), [({"max_tokens": 1000}, 8), ({"epochs": 0.5}, 8), ({"max_steps": 3, "epochs": 9}, 3)]
)
def test_the_first_limit_ends_the_run(job: Callable[..., TrainingJob], limit: dict[str, float], steps: int) -> None:
    result = run(job(**limit), Recorder())
    assert result.outcome.state.step == pytest.approx(steps, abs=2)


def test_minutes_end_the_run(job: Callable[..., TrainingJob]) -> None:
    result = run(job(max_minutes=0.01), Recorder())
    assert 0.6 <= result.outcome.state.seconds < 2.0


@pytest.mark.parametrize(
    "options", [{"masking_strategy": "whole-word"}, {"masking_strategy": "span"}, {"tokenizer": "bpe"}]
)
def test_every_masking_and_tokenizer_trains(job: Callable[..., TrainingJob], options: dict[str, str]) -> None:
    result = run(job(max_steps=2, **options), Recorder())
    assert result.metrics["eval_loss"] > 0


def test_a_validation_file_is_what_is_held_out(job: Callable[..., TrainingJob], tmp_path: Path) -> None:
    held = tmp_path / "held.txt"
    held.write_text(CORPUS[0])
    hooks = Recorder()
    run(replace(job(max_steps=1), validation_files=(SourceFile(held, held.name),)), hooks)
    assert any("(1 held out)" in message for message, _ in hooks.events)


def test_a_teacher_is_followed(job: Callable[..., TrainingJob], tmp_path: Path) -> None:
    base = tiny_text_folder(tmp_path / "base", "bert", head=False)
    hooks = Recorder()
    run(replace(job(model=base, max_steps=4, log_interval=1, teacher="base"), model_folders={"base": base}), hooks)
    assert all(-1 <= c <= 1 for c in hooks.series("train_teacher_cosine"))
    assert len(hooks.series("train_teacher_cosine")) == 4


def test_rows_longer_than_the_model_are_refused(job: Callable[..., TrainingJob], tmp_path: Path) -> None:
    base = tiny_text_folder(tmp_path / "base", "bert")
    with pytest.raises(InvalidValue, match="sequence_length is 128, but the model reads at most 64") as e:
        run(job(model=base, sequence_length=128), Recorder())
    assert e.value.param == "sequence_length"


def test_a_diverging_run_says_so(job: Callable[..., TrainingJob]) -> None:
    with pytest.raises(InvalidValue, match="diverged"):
        run(job(max_steps=200, learning_rate=1.0, max_grad_norm=1000.0, warmup_ratio=0.0, adam_beta2=0.0), Recorder())


def test_broken_data_names_the_file(job: Callable[..., TrainingJob], tmp_path: Path) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"text": 1}')
    with pytest.raises(InvalidData, match=r"broken.jsonl, line 1"):
        run(replace(job(), training_files=(SourceFile(broken, broken.name),)), Recorder())


def test_compiling_without_a_compiler_says_so(job: Callable[..., TrainingJob], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(InvalidValue, match=r"needs a C\+\+ compiler") as e:
        run(job(max_steps=1, compile=True), Recorder())
    assert e.value.param == "compile"


def test_on_a_cpu_every_part_attends_eagerly() -> None:
    # A decoder has a configuration of its own, which transformers' own switch does not reach.
    model = build_preset(dict(MAE_PRESETS["mae-tiny"]))
    use_eager_attention(model)
    parts = [m.config for m in model.modules() if hasattr(m, "config")]
    assert model.decoder.config in parts
    assert {config._attn_implementation for config in parts} == {"eager"}
