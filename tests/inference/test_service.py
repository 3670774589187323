"""The one way through for a request: resolved once, checked, run, written."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from app.errors import InvalidValue, ModelNotFound, TaskNotSupported
from app.inference.build import build_inference, build_pool
from app.inference.client import LocalClient
from app.inference.service import Answer, Inference
from app.modalities.embedding import EmbedItem
from app.modalities.text.items import FillMaskItem, ScoreItem
from app.settings import Settings
from app.store.manifest import Manifest
from app.store.store import ModelEntry, ModelStore
from app.types import ModalityName, Task
from tests.fakes.loader import WAIT
from tests.fakes.objective import MASK, FakeObjective

CLIENT = LocalClient()

Main = Callable[[Inference], Coroutine[Any, Any, Any]]


class CountingStore(ModelStore):
    """Records which ids are resolved."""

    resolved: list[str]

    def resolve(self, model_id: str) -> ModelEntry:
        self.resolved.append(model_id)
        return super().resolve(model_id)


@pytest.fixture
def store(tmp_path: Path) -> CountingStore:
    store = CountingStore(tmp_path / "models")
    store.resolved = []
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"none")
    for name, tasks in {"full": tuple(Task)[:3], "bare": (Task.EMBED,)}.items():
        store.publish(
            folder, Manifest(modality=ModalityName.TEXT, architecture="a", tasks=tasks, parameters=2), name=name
        )
    return store


@pytest.mark.parametrize(
    ("overflow", "split", "truncate"), [("windows", True, False), ("truncate", False, True), ("error", False, False)]
)
def test_the_operator_decides_about_texts_that_are_too_long(
    run: Callable[..., Any], overflow: str, split: bool, truncate: bool
) -> None:
    async def main(inference: Inference) -> None:
        opened = await inference.open("full")
        items = [EmbedItem("a", split=True), EmbedItem("a", truncate=True), EmbedItem("a")]
        found, _ = opened.check(Task.EMBED, items)
        assert [(each.split, each.truncate) for each in found] == [(split, truncate), (False, True), (False, False)]

    run(main, embed_overflow=overflow)


@pytest.fixture
def run(store: CountingStore, tmp_path: Path) -> Callable[..., Any]:
    def load(path: Path) -> FakeObjective:
        return FakeObjective(tuple(Task)[:3] if path.parent.name == "full" else (Task.EMBED,))

    def run(main: Main, **changes: Any) -> Any:
        values = {"var_dir": tmp_path / "var", "default_model": "full", "device": "cpu", "threads": 1, **changes}
        settings = Settings(**values)

        async def with_inference() -> Any:
            pool = build_pool(settings, store, load=load)
            inference = build_inference(settings, pool)
            await pool.start()
            try:
                return await main(inference)
            finally:
                inference.close()
                await pool.stop()

        return asyncio.run(asyncio.wait_for(with_inference(), WAIT))

    return run


def whole(answer: Answer[Any]) -> Answer[Any]:
    return answer


async def ask(inference: Inference, task: Task = Task.EMBED, model: str | None = None, **changes: Any) -> Answer[Any]:
    items: dict[Task, Callable[[str], Any]] = {
        Task.EMBED: EmbedItem, Task.FILL_MASK: FillMaskItem, Task.SCORE: ScoreItem,
    }  # fmt: skip
    options = {"inputs": ["a b", "c"], "to_item": items[task], "write": whole, **changes}
    return await inference.run(task, model, client=CLIENT, **options)


def test_results_come_in_order_with_the_model(run: Callable[..., Any]) -> None:
    answer = run(ask)
    assert (answer.model, [result.tokens for result in answer.results]) == ("full@1", [2, 1])


@pytest.mark.parametrize("model", [None, "full", "full@1"])
def test_the_model_is_resolved_once(run: Callable[..., Any], store: CountingStore, model: str | None) -> None:
    async def main(inference: Inference) -> list[str]:
        await ask(inference, model=model)
        store.resolved.clear()
        await ask(inference, model=model)
        return list(store.resolved)

    assert run(main) == [model or "full"]


def test_bounds_are_checked(run: Callable[..., Any]) -> None:
    async def main(inference: Inference) -> None:
        with pytest.raises(InvalidValue, match="3 inputs; one request may hold 2"):
            await ask(inference, inputs=["a", "b", "c"])
        with pytest.raises(InvalidValue, match="at most 5, not 6") as caught:
            await ask(inference, Task.FILL_MASK, inputs=[MASK], to_item=lambda text: FillMaskItem(text, top_k=6))
        assert caught.value.param == "top_k"
        with pytest.raises(InvalidValue, match="repeats its text"):
            await ask(inference, Task.FILL_MASK, inputs=[MASK + "a" * 50_000_000])
        with pytest.raises(TaskNotSupported):
            await ask(inference, Task.FILL_MASK, "bare", inputs=[MASK])
        with pytest.raises(ModelNotFound):
            await ask(inference, model="none")

    run(main, max_request_inputs=2, max_top_k=5)


def test_errors_name_the_fields_of_a_dialect(run: Callable[..., Any]) -> None:
    async def main(inference: Inference) -> None:
        model = await inference.open(None)
        with pytest.raises(InvalidValue, match="should be at most 1000") as caught:
            await model.run(
                Task.FILL_MASK,
                [MASK],
                CLIENT,
                to_item=lambda text: FillMaskItem(text, top_k=1001),
                write=whole,
                names={"top_k": "parameters.top_k"},
            )
        assert caught.value.param == "parameters.top_k"

    run(main)


@pytest.mark.parametrize(
    ("task", "small", "large"),
    [
        (Task.FILL_MASK, [MASK], [MASK + "a" * 70_000]),
        (Task.SCORE, ["a"], ["a " * 60] * 12),
        (Task.EMBED, ["a"], ["a"] * 1200),
    ],
)
def test_a_large_answer_is_written_off_the_event_loop(
    run: Callable[..., Any], task: Task, small: list[str], large: list[str]
) -> None:
    def write(answer: Answer[Any]) -> bool:
        return threading.current_thread() is threading.main_thread()

    async def main(inference: Inference) -> list[bool]:
        return [bool(await ask(inference, task, inputs=inputs, write=write)) for inputs in (small, large)]

    assert run(main) == [True, False]


def test_a_client_that_leaves_ends_its_work(run: Callable[..., Any]) -> None:
    class Leaving(LocalClient):
        async def while_connected(self, work: Coroutine[Any, Any, Any]) -> Any:
            work.close()
            raise ConnectionError

    async def main(inference: Inference) -> None:
        with pytest.raises(ConnectionError):
            await inference.run(Task.EMBED, None, ["a"], Leaving(), to_item=EmbedItem, write=whole)
        assert (await ask(inference)).model == "full@1"  # nothing is left of it

    run(main)
