import asyncio

import pytest

from app.errors import AppError, Busy, InvalidValue
from app.modalities.embedding import EmbedItem
from app.serving.engine import Engine
from app.serving.locating import of_item
from app.types import Task
from tests.fakes.objective import FakeObjective


class PanicException(BaseException):
    """As pyo3_runtime's, which cannot be imported."""


def test_the_errors_of_an_item_have_its_index() -> None:
    for error, count, index in (
        (InvalidValue("x", param="input"), 2, 1),
        (AppError("not finite"), 2, 1),
        (InvalidValue("x", param="input"), 1, None),
        (InvalidValue("x", param="top_k"), 2, None),
        (Busy("x"), 2, None),
    ):
        with pytest.raises(type(error)) as caught, of_item(1, count):
            raise error
        assert caught.value.index == index


def test_a_panic_is_an_error_of_its_item(engine: Engine, fake: FakeObjective, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare = fake.tasks[Task.EMBED].prepare

    def panic(item: EmbedItem) -> object:
        if item.input == "bad":
            raise PanicException("index out of bounds")
        return prepare(item)

    monkeypatch.setattr(fake.tasks[Task.EMBED], "prepare", panic)

    async def main() -> None:
        with pytest.raises(AppError, match="failed on this input") as caught:
            await engine.submit(Task.EMBED, [EmbedItem("a"), EmbedItem("bad")])
        assert caught.value.index == 1
        (result,) = await engine.submit(Task.EMBED, [EmbedItem("a")])
        assert result.tokens == 1

    asyncio.run(main())


def test_other_base_exceptions_pass() -> None:
    with pytest.raises(KeyboardInterrupt), of_item(0, 2):
        raise KeyboardInterrupt
