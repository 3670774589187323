"""One suite over every modality: what the engine and the trainer rely on."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from app.methods import METHODS
from app.modalities import registry
from app.modalities.served_model import AnyMaskedModel
from app.serving.replicas import replicate
from app.system.process_pool import ProcessPool
from app.training.data.source_file import SourceFile
from app.training.job import TrainingJob
from app.training.run import run
from app.types import Task
from tests.contracts.modalities import CASES, Case
from tests.fakes.faults import imported
from tests.fakes.perform import perform, rows_of
from tests.fakes.runs import Recorder, same


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture(scope="module")
def folder(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return case.folder(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def objective(folder: Path) -> AnyMaskedModel:
    return registry.load(folder)


@pytest.fixture(scope="module")
def decoders() -> Iterator[ProcessPool]:
    with ProcessPool(1) as pool:
        yield pool


def numbers(result: Any) -> list[np.ndarray]:
    """Every number in a result, in order."""
    if is_dataclass(result):
        return [n for field in fields(result) for n in numbers(getattr(result, field.name))]
    if isinstance(result, dict | list | tuple):
        values = result.values() if isinstance(result, dict) else result
        return [n for value in values for n in numbers(value)]
    return [np.asarray(result, np.float64)] if isinstance(result, np.ndarray | np.generic | int | float) else []


def answers(objective: AnyMaskedModel, case: Case) -> list[np.ndarray]:
    return numbers([perform(objective.tasks[task], items) for task, items in case.items.items()])


def equal(first: list[np.ndarray], second: list[np.ndarray], tolerance: float = 0.0) -> bool:
    pairs = zip(first, second, strict=True)
    return all(
        np.allclose(a, b, rtol=tolerance, atol=tolerance) if tolerance else np.array_equal(a, b) for a, b in pairs
    )


def test_it_loads_with_the_tasks_that_it_says(objective: AnyMaskedModel, case: Case) -> None:
    assert objective.modality is case.modality
    assert objective.tasks.keys() == case.items.keys()
    assert objective.parameter_count() > 0


def test_every_task_has_an_example_that_it_answers(objective: AnyMaskedModel) -> None:
    for handler in objective.tasks.values():
        assert perform(handler, [handler.example()])


def test_files_are_decoded_in_a_process_without_torch(
    objective: AnyMaskedModel, case: Case, decoders: ProcessPool
) -> None:
    for task, items in case.items.items():
        handler = objective.tasks[task]
        if not handler.reads_files:
            continue
        for item in items:
            decoded = decoders.submit(handler.decoding(item)).result()
            assert equal(numbers(decoded), numbers(handler.decoding(item)()))
            assert equal(numbers(rows_of(handler, decoded)), numbers(rows_of(handler, item)))
    assert not {"torch", "transformers"} & decoders.submit(imported).result()


def test_a_batched_answer_is_the_single_one(objective: AnyMaskedModel, case: Case) -> None:
    for task, items in case.items.items():
        together = perform(objective.tasks[task], items)
        alone = [perform(objective.tasks[task], [item])[0] for item in items]
        assert equal(numbers(together), numbers(alone), tolerance=1e-4), task


def test_replicas_answer_beside_each_other_what_one_answers(objective: AnyMaskedModel, case: Case) -> None:
    """Bit for bit, whatever the others run meanwhile."""
    asked = [(task, item) for task, items in case.items.items() for item in items]
    expected = [numbers(perform(objective.tasks[task], [item])) for task, item in asked]
    replicas = [objective.tasks, replicate(objective), replicate(objective)]

    def answer(number: int) -> bool:
        tasks = replicas[number]
        places = [(place + number) % len(asked) for place in range(3 * len(asked))]
        return all(equal(numbers(perform(tasks[asked[p][0]], [asked[p][1]])), expected[p]) for p in places)

    with ThreadPoolExecutor(3) as pool:
        assert all(pool.map(answer, range(3)))


def test_the_same_seed_gives_the_same_answer(objective: AnyMaskedModel, case: Case) -> None:
    assert equal(answers(objective, case), answers(objective, case))


def test_what_is_masked_reaches_no_prediction(objective: AnyMaskedModel, case: Case) -> None:
    first, second = case.guesses(objective)
    assert first.size and np.array_equal(first, second)


def test_costs_count_what_the_model_reads(objective: AnyMaskedModel, case: Case) -> None:
    for task, items in case.items.items():
        assert all(row.cost > 1 for item in items for row in rows_of(objective.tasks[task], item))


def test_what_is_saved_is_served_alike(objective: AnyMaskedModel, case: Case, tmp_path: Path) -> None:
    objective.save(tmp_path, torch.float32)
    assert equal(answers(registry.load(tmp_path), case), answers(objective, case))


def test_bfloat16_is_near(case: Case, folder: Path, objective: AnyMaskedModel) -> None:
    half, converted = registry.load(folder, torch.bfloat16), registry.load(folder)
    for each in (half, converted):
        each.to(torch.device("cpu"), torch.bfloat16)
    assert equal(answers(half, case), answers(converted, case))
    exact, near = (perform(o.tasks[Task.EMBED], case.items[Task.EMBED][:1])[0].vector for o in (objective, half))
    assert near.dtype == np.float32
    assert np.dot(exact, near) > 0.98


def job(case: Case, folder: Path, base: Path, name: str, **options: Any) -> TrainingJob:
    run_dir = base / name
    run_dir.mkdir(exist_ok=True)
    source = case.source(base)
    shared = {"precision": "float32", "max_eval_samples": 2, "validation_fraction": 0.2, "max_steps": 6, **options}
    return TrainingJob(
        method=case.method,
        model=folder,
        hyperparameters=METHODS[case.method].hyperparameters(**{**case.hyperparameters, **shared}),
        training_files=(SourceFile(source, source.name),),
        validation_files=(),
        run_dir=run_dir,
        cache_dir=base / "cache",
        device="cpu",
    )


def test_it_trains_resumes_bit_for_bit_and_serves_what_it_made(case: Case, folder: Path, tmp_path: Path) -> None:
    options = {"checkpoint_interval": 2, "gradient_accumulation_steps": 2}
    hooks = Recorder()
    undisturbed = run(job(case, folder, tmp_path, "a", **options), hooks)
    with pytest.raises(KeyboardInterrupt):
        run(job(case, folder, tmp_path, "b", **options), Recorder(die_at=3))
    assert same(undisturbed, run(job(case, folder, tmp_path, "b", **options), Recorder()))
    assert undisturbed.metrics["eval_loss"] > 0
    assert all(loss > 0 for loss in hooks.series("train_loss"))
    made = registry.load(undisturbed.folder)
    assert made.modality is undisturbed.modality is case.modality
    assert set(made.tasks) == set(undisturbed.tasks) == set(case.items)
    assert all(np.isfinite(n).all() for n in answers(made, case))
