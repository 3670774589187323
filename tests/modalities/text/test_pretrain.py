from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer

from app.methods import TEXT_PRESETS, MlmHyperparameters
from app.modalities.embedding import EmbedItem
from app.modalities.text.builder import build_preset, start_at_frequencies
from app.modalities.text.items import FillMaskItem, ScoreItem
from app.modalities.text.load import load_text
from app.modalities.text.new_tokenizers.kinds import train_tokenizer
from app.modalities.text.objective import TextObjective
from app.modalities.text.pipeline import PoolingMode, SentencePipeline
from app.modalities.text.row_masking import Row, RowMasker
from app.types import Task
from tests.fakes.perform import perform
from tests.fakes.tiny_models import ARCHITECTURES, CORPUS, tiny_text_folder


def scratch(preset: str = "bert-tiny", **hyperparameters: object) -> TextObjective:
    torch.manual_seed(0)
    config = {**TEXT_PRESETS[preset], "num_hidden_layers": 4, "hidden_size": 32, "intermediate_size": 64}
    config |= {"local_attention": 8} if preset.startswith("modernbert") else {}
    kind = "bpe" if preset.startswith("modernbert") else "wordpiece"
    tokenizer = train_tokenizer(CORPUS * 2, MlmHyperparameters(tokenizer=kind, vocab_size=400), 64)
    objective = TextObjective(build_preset(config, tokenizer, 64), tokenizer, has_head=True, new_head=True)
    objective.start_training(MlmHyperparameters(sequence_length=64, **hyperparameters), 0.3, None)
    return objective


def row(objective: TextObjective, *texts: str) -> Row:
    parts = [objective.tokenizer(t)["input_ids"] for t in texts]
    return Row(np.array([i for part in parts for i in part]), tuple(map(len, parts)))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("preset", ["bert-tiny", "modernbert-tiny"])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_documents_of_one_row_do_not_see_each_other(preset: str, attention: str) -> None:
    objective = scratch(preset)
    objective.model.set_attn_implementation(attention)
    together = objective.mask_sample(row(objective, *CORPUS[:3]), rng())
    pieces = np.split(np.arange(len(together.seen)), np.cumsum(together.row.segments)[:-1])
    alone_loss, count = 0.0, 0
    with torch.no_grad():
        packed = objective.forward(objective.collate_masked([together]))[1]
        for piece in pieces:
            part = type(together)(
                Row(together.row.ids[piece], (len(piece),)), together.seen[piece], together.chosen[piece]
            )
            metrics = objective.forward(objective.collate_masked([part]))[1]
            alone_loss, count = alone_loss + metrics.loss_sum, count + metrics.count
    assert packed.count == count
    assert packed.loss_sum == pytest.approx(alone_loss, rel=1e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_loss_is_the_plain_models_for_every_architecture(tmp_path: Path, architecture: str) -> None:
    objective = load_text(tiny_text_folder(tmp_path, architecture), new_head=True)
    objective.start_training(MlmHyperparameters(sequence_length=64), 0.3, None)
    samples = [objective.mask_sample(row(objective, text), rng(i)) for i, text in enumerate(CORPUS[:3])]
    batch = objective.collate_masked(samples)
    objective.model.eval()
    loss, metrics = objective.forward(batch)
    labels = torch.full_like(batch.original, -100).reshape(-1)
    labels[batch.chosen] = batch.labels
    mask = (batch.segment > 0).long()
    with torch.no_grad():
        plain = objective.model(input_ids=batch.seen, attention_mask=mask, labels=labels.view_as(batch.seen))
    assert loss.item() == pytest.approx(plain.loss.item(), rel=1e-4)
    right = plain.logits.reshape(-1, plain.logits.shape[-1])[batch.chosen].argmax(-1) == batch.labels
    assert metrics.correct == int(right.sum())
    loss.backward()
    assert all(p.grad is not None for n, p in objective.model.named_parameters() if "word_embeddings" in n)


def test_only_what_is_visible_reaches_the_prediction() -> None:
    objective = scratch(mask_token_share=1.0, random_token_share=0.0)
    sample = objective.mask_sample(row(objective, CORPUS[1]), rng())
    other = sample.row.ids.copy()
    other[sample.chosen] = 7
    changed = type(sample)(Row(other, sample.row.segments), sample.seen, sample.chosen)
    a, b = (objective.collate_masked([s]) for s in (sample, changed))
    assert torch.equal(a.seen, b.seen)
    assert not torch.equal(a.labels, b.labels)


def test_evaluation_masks_by_the_fixed_standard() -> None:
    objective = scratch(masking_rate=0.5, final_masking_rate=0.1)
    long = Row(np.tile(objective.tokenizer.convert_tokens_to_ids(["the", "lions"]), 500), (1000,))
    assert objective.mask_sample(long, rng(), evaluate=True).chosen.mean() == pytest.approx(0.15, abs=0.001)
    assert objective.mask_sample(long, rng(), evaluate=True, fraction=0.5).chosen.mean() == pytest.approx(
        0.15, abs=0.001
    )


@pytest.mark.parametrize(("fraction", "rate"), [(0.0, 0.3), (0.25, 0.25), (0.5, 0.2), (1.0, 0.1)])
def test_the_masking_rate_changes_linearly_in_the_course_of_a_run(fraction: float, rate: float) -> None:
    objective = scratch(final_masking_rate=0.1)
    long = Row(np.tile(objective.tokenizer.convert_tokens_to_ids(["the", "lions"]), 500), (1000,))
    assert objective.mask_sample(long, rng(), fraction=fraction).chosen.mean() == pytest.approx(rate, abs=0.001)
    chosen = objective.describe_choices()
    assert (chosen["masking_rate"], chosen["final_masking_rate"]) == (0.3, 0.1)
    assert "final_masking_rate" not in scratch().describe_choices()


def test_documents_of_one_row_have_a_sentence_vector_each() -> None:
    objective = scratch()

    def vectors(*rows: Row) -> torch.Tensor:
        return objective.sentence_vectors(objective.collate_masked([objective.mask_sample(r, rng()) for r in rows]))

    packed = vectors(row(objective, *CORPUS[:3]), row(objective, CORPUS[3]))
    alone = torch.cat([vectors(row(objective, text)) for text in CORPUS[:4]])
    assert packed.numpy() == pytest.approx(alone.numpy(), abs=1e-5)


def test_the_teacher_pulls_the_sentence_vectors_towards_its_own() -> None:
    student, teacher = scratch(), scratch()
    torch.manual_seed(1)
    for p in teacher.model.parameters():
        torch.nn.init.normal_(p, std=0.05)
    student.start_training(MlmHyperparameters(sequence_length=64, teacher_weight=5.0), 0.3, teacher)
    samples = [student.mask_sample(row(student, text), rng(i)) for i, text in enumerate(CORPUS[:4])]
    batch = student.collate_masked(samples)
    optimizer = torch.optim.AdamW(student.model.parameters(), lr=1e-3)
    student.model.train()
    cosines = []
    for _ in range(20):
        loss, metrics = student.forward(batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        cosines.append(metrics.extra["teacher_cosine"] / metrics.extra["documents"])
    assert cosines[-1] > cosines[0] + 0.3
    assert all(p.grad is None for p in teacher.model.parameters())


def test_a_new_heads_bias_starts_at_the_token_frequencies() -> None:
    objective = scratch()
    counts = np.zeros(len(objective.tokenizer), dtype=np.int64)
    counts[9] = 90
    start_at_frequencies(objective.model, counts)
    bias = objective.model.get_output_embeddings().bias
    assert bias.argmax() == 9
    assert bias.exp().sum().item() == pytest.approx(1.0, abs=1e-4)


def test_what_is_saved_is_served_with_its_own_pooling(tmp_path: Path) -> None:
    objective = scratch()
    objective.save(tmp_path, torch.bfloat16)
    again = load_text(tmp_path)
    assert again.has_head and not again.new_head
    for ours, theirs in zip(objective.model.parameters(), again.model.parameters(), strict=True):
        torch.testing.assert_close(ours.to(torch.bfloat16).float(), theirs.detach())
    assert next(objective.model.parameters()).dtype == torch.float32


@pytest.mark.parametrize(("pooling", "normalize"), [("cls", False), ("max", True), ("mean", True)])
def test_sentence_transformers_reads_what_is_saved(tmp_path: Path, pooling: str, normalize: bool) -> None:
    base = scratch()
    pipeline = SentencePipeline(pooling=(PoolingMode(pooling),), normalize=normalize)
    objective = TextObjective(base.model, base.tokenizer, has_head=True, pipeline=pipeline)
    objective.save(tmp_path, torch.float32)
    theirs = SentenceTransformer(str(tmp_path), device="cpu").encode(CORPUS[:3])
    items = [EmbedItem(t, normalize=None) for t in CORPUS[:3]]
    ours = [r.vector for r in perform(load_text(tmp_path).tasks[Task.EMBED], items)]
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


PROTEINS = ["MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ", "MSIQHFRVALIPFFAAFCLPVFAHPETLVKVK"]


@pytest.mark.parametrize("preset", ["esm-tiny", "bert-tiny", "modernbert-tiny"])
def test_a_model_of_letters_is_saved_and_fills_letters(preset: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    tokenizer = train_tokenizer(PROTEINS, MlmHyperparameters(tokenizer="characters"), 64)
    objective = TextObjective(build_preset(TEXT_PRESETS[preset], tokenizer, 64), tokenizer, has_head=True)
    objective.save(tmp_path, torch.float32)
    loaded = load_text(tmp_path)
    assert loaded.tokenizer.tokenize("MKT") == ["M", "K", "T"]
    (filled,) = perform(loaded.tasks[Task.FILL_MASK], [FillMaskItem("MK[MASK]AY", top_k=2, targets=("T", "A"))])
    assert {c.sequence for c in filled.masks[0].candidates} == {"MKTAY", "MKAAY"}
    (score,) = perform(loaded.tasks[Task.SCORE], [ScoreItem("MKTAY")])
    assert [(each.start, each.end) for each in score.scored] == [(n, n + 1) for n in range(5)]
    vectors = [perform(loaded.tasks[Task.EMBED], [EmbedItem(text)])[0].vector for text in ("MKTAY", "MKTAV")]
    assert not np.allclose(*vectors)


def test_overlapping_kmers_are_masked_in_runs() -> None:
    hyperparameters = MlmHyperparameters(tokenizer="kmer", kmer_length=3)
    tokenizer = train_tokenizer(["ACGTTGCAACGGTCA" * 9], hyperparameters, 64)
    masker = RowMasker(tokenizer, hyperparameters, 0.3)
    ids = np.array(tokenizer("ACGTTGCAACGGTCAACGTTGCAACGGTCA")["input_ids"])
    for evaluate in (False, True):
        chosen = masker.mask_row(Row(ids, (len(ids),)), rng(), evaluate=evaluate).chosen
        edges = np.flatnonzero(np.diff(np.concatenate([[0], chosen, [0]])))
        assert len(edges) >= 2 and (np.diff(edges)[::2] >= 3).all()


def test_letters_are_words_of_their_own() -> None:
    tokenizer = train_tokenizer(PROTEINS, MlmHyperparameters(tokenizer="characters"), 64)
    masker = RowMasker(tokenizer, MlmHyperparameters(masking_strategy="whole-word"), 0.3)
    ids = np.array(tokenizer(PROTEINS[0])["input_ids"])
    assert masker.mask_row(Row(ids, (len(ids),)), rng(), evaluate=False).chosen.sum() == 10  # 30 % of 32 letters
