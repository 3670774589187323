"""The one way through for a request: resolve the model, check, run the task, write the answer."""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from app.errors import TaskNotSupported
from app.inference.answer_size import MAX_ANSWER, SMALL, AnswerRoom, check_decode, check_tokenize
from app.inference.client import Client
from app.inference.limits import RequestLimits
from app.inference.remote_media import MediaFetcher, RemoteMedia
from app.inference.shared_answers import SharedAnswers
from app.inference.tasks import BOUNDS, Names
from app.inference.tokenization import REPORTED_CHARACTERS, Split, TokenParts, take_first, tokenize_all
from app.methods.tokenizers import TokenizerReport
from app.modalities.comparison import InputComparison
from app.modalities.embedding import find_prompt
from app.serving.batches import Flow
from app.serving.engine import Engine
from app.serving.locating import locating
from app.serving.pool import EnginePool
from app.system.concurrency import ConcurrencyLimiter
from app.types import Classifier, Task

_RENDERING_THREADS = 2

Input = TypeVar("Input")
Result = TypeVar("Result")
Written = TypeVar("Written")


@dataclass(frozen=True)
class Answer(Generic[Result]):
    """The results of a request, one an input, in order. model: the `name@version` that gave them."""

    model: str
    results: Sequence[Result]


Write = Callable[[Answer[Any]], Written]  # makes the form in which the answer is sent; runs on any thread
Report = Callable[[], TokenizerReport]


class Inference:
    """The use cases of requests, and what all requests share."""

    def __init__(self, pool: EnginePool, limits: RequestLimits, fetcher: MediaFetcher, answers: SharedAnswers) -> None:
        self.limits = limits
        self.answers = answers
        self.fetcher = fetcher
        self.room = AnswerRoom()
        self.tokenizing = ConcurrencyLimiter(at_once=2, waiting=64, what="tokenizations")
        # A result weighs many times what its file does, and rendering it may take longer than the model did.
        self.reconstructing = ConcurrencyLimiter(at_once=4, waiting=64, what="reconstructions")
        self.rendering = ThreadPoolExecutor(_RENDERING_THREADS, thread_name_prefix="render")
        self._pool = pool

    async def open(self, model: str | None) -> "OpenModel":
        """Resolves a model id and loads the model if need be; None is the default model.

        Raises ModelNotFound, and NotReady for a model that cannot be loaded now.
        """
        return OpenModel(self, await self._pool.get(model))

    async def run(
        self,
        task: Task,
        model: str | None,
        inputs: Sequence[Input | RemoteMedia],
        client: Client,
        *,
        to_item: Callable[[Input], Any],
        write: Write[Written],
    ) -> Written:
        """Runs a task of the model on inputs as the client sent them, and returns what `write` makes of the answer.

        to_item: makes an item of the task from an input whose media are fetched.
        Raises what `open` and `OpenModel.run` raise.
        """
        return await (await self.open(model)).run(task, inputs, client, to_item=to_item, write=write)

    async def tokenize(
        self,
        model: str | None,
        texts: Sequence[str],
        client: Client,
        *,
        add_special_tokens: bool,
        prompt_name: str | None = None,
        write: Callable[[Answer[TokenParts], Report], Written],
    ) -> Written:
        """Returns what `write` makes of an answer whose results are the `TokenParts` of the texts, and of the report.

        prompt_name: of the model's prompt that goes before each text; places of tokens are those with it.
        `write` calls the report when it has read all tokens, so the texts are known to be valid. It is about the first
        REPORTED_CHARACTERS.

        Raises InvalidValue for more than the limits allow, what `open` raises, TaskNotSupported for a model that reads
        no text, and Busy.
        """
        self.limits.check_inputs(len(texts))
        check_tokenize(texts)
        opened = await self.open(model)
        over = threading.Event()
        split = opened.splitter(add_special_tokens=add_special_tokens, prompt_name=prompt_name)
        answer: Answer[TokenParts] = Answer(opened.id, tokenize_all(split, texts, over))
        report = partial(opened.report_tokenizer, take_first(texts, REPORTED_CHARACTERS))

        async def work() -> Written:
            async with self.tokenizing.hold():
                return await asyncio.to_thread(write, answer, report)  # a million tokens take seconds

        try:
            return await client.while_connected(work())
        finally:
            over.set()  # threads cannot be cancelled

    async def decode(
        self, model: str | None, ids: Sequence[Sequence[int]], client: Client, *, skip_special_tokens: bool
    ) -> list[str]:
        """Returns the text of each list of token ids.

        Raises InvalidValue for an id outside the vocabulary and for more than the limits allow, what `open` raises,
        TaskNotSupported for a model that reads no text, and Busy.
        """
        self.limits.check_inputs(len(ids), "ids")
        check_decode(ids)
        decode = partial((await self.open(model)).decode, skip_special_tokens=skip_special_tokens)
        locate = locating(decode, len(ids))

        async def work() -> list[str]:
            async with self.tokenizing.hold():
                return await asyncio.to_thread(lambda: list(map(locate, enumerate(ids))))

        return await client.while_connected(work())

    def close(self) -> None:
        """Begins no other download and no other rendering."""
        self.rendering.shutdown(wait=False, cancel_futures=True)
        self.fetcher.close()


class OpenModel:
    """A loaded model, as one request uses it. It is kept no longer: while it is held, its memory is not freed."""

    def __init__(self, inference: Inference, engine: Engine) -> None:
        self._inference, self._engine = inference, engine

    @property
    def id(self) -> str:
        """The model as `name@version`."""
        return self._engine.entry.id

    @property
    def modality(self) -> str:
        return self._engine.model.modality

    @property
    def tasks(self) -> Mapping[Task, object]:
        return self._engine.model.tasks

    @property
    def max_length(self) -> int | None:
        """Tokens that the model reads, special ones included; None where its inputs have no such bound."""
        return self._engine.model.max_length

    @property
    def dimensions(self) -> int | None:
        """Size of the vectors that the model gives; None if unknown."""
        return self._engine.model.dimensions

    @property
    def expanded_length(self) -> int:
        """Tokens that a query has at least where it is embedded as vectors of tokens."""
        return self._engine.model.expanded_length

    @property
    def reads_text(self) -> bool:
        return self._engine.model.reads_text

    @property
    def pooling(self) -> str | None:
        """How the model's vectors are pooled; None if unknown."""
        return self._engine.model.pooling

    @property
    def classifier(self) -> Classifier | None:
        """The facts about the outputs of a model that classifies."""
        return self._engine.model.classifier

    @property
    def comparison(self) -> InputComparison:
        """How the model compares two inputs, unless a request asks for another way."""
        return self._engine.model.comparison

    @property
    def limits(self) -> RequestLimits:
        """The limits of one request."""
        return self._inference.limits

    @property
    def max_labels(self) -> int:
        """The number of labels that an answer may have: all, as far as the limit of a request allows."""
        return min(len(self.classifier.labels) if self.classifier else 1, self._inference.limits.top_k)

    def hold_room(self, size: int) -> AbstractAsyncContextManager[None]:
        """Waits until there is room for an answer of so many characters, and holds it."""
        return self._inference.room.hold(size)

    def require(self, task: Task) -> None:
        """Raises TaskNotSupported."""
        self._engine.require(task)

    def splitter(self, *, add_special_tokens: bool, prompt_name: str | None = None) -> Split:
        """Returns the function that splits a text into its tokens, after the prompt of that name.

        Raises TaskNotSupported, and InvalidValue for a name that the model does not have.
        """
        self._require_text()
        model = self._engine.model
        prompt = "" if prompt_name is None else find_prompt(model.prompts, prompt_name)
        return lambda text: model.tokenize(prompt + text, add_special_tokens)

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool) -> str:
        """Returns the text of token ids. Raises InvalidValue and TaskNotSupported."""
        self._require_text()
        return self._engine.model.decode(ids, skip_special_tokens)

    def report_tokenizer(self, texts: Sequence[str]) -> TokenizerReport:
        """Returns what the tokenizer loses of texts. The model reads text."""
        return self._engine.model.report_tokenizer(texts)

    def _require_text(self) -> None:
        if not self._engine.model.reads_text:
            raise TaskNotSupported(f"{self.id} reads no text", param="model")

    async def run(
        self,
        task: Task,
        inputs: Sequence[Input | RemoteMedia],
        client: Client,
        *,
        to_item: Callable[[Input], Any],
        write: Write[Written],
        names: Names | None = None,
    ) -> Written:
        """As `Inference.run`, on this model. names: the names of fields in the client's dialect, for errors.

        Raises TaskNotSupported, InvalidValue for more than the limits allow, Busy, what fetching a file raises, what
        the task raises for an item, and what the client raises when it leaves.
        """
        client.note_model(self._engine.entry.name)
        self._inference.limits.check_inputs(len(inputs))
        self.require(task)
        return await client.while_connected(self._run(task, inputs, client, to_item, write, names or {}))

    async def _run(
        self,
        task: Task,
        inputs: Sequence[Input | RemoteMedia],
        client: Client,
        to_item: Callable[[Input], Any],
        write: Write[Written],
        names: Names,
    ) -> Written:
        inference = self._inference
        contents: Sequence[Any] = await inference.fetcher.fetch_all(inputs)
        items, expected = self.check(task, list(map(to_item, contents)), names=names)
        heavy = task is Task.RECONSTRUCT
        async with inference.reconstructing.hold() if heavy else nullcontext(), inference.room.hold(expected):
            answered = await inference.answers.submit(self._engine, task, items)
            if answered.hits is not None:
                client.note_hits(answered.hits, len(items))
            answer: Answer[Any] = Answer(self.id, answered.results)
            if heavy:
                return await asyncio.get_running_loop().run_in_executor(inference.rendering, write, answer)
            if BOUNDS[task].measure(answer.results, expected) <= SMALL:
                return write(answer)
            return await asyncio.to_thread(write, answer)  # writing the largest answers takes a second

    def check(
        self, task: Task, items: Sequence[Any], *, names: Names | None = None, largest: int = MAX_ANSWER
    ) -> tuple[Sequence[Any], int]:
        """Returns the items with the server's limits, and how many characters their answer may have.

        Raises InvalidValue for an option beyond its limit, and for an answer of more than `largest` characters.
        """
        bounds, names = BOUNDS[task], names or {}
        items = bounds.limit(items, self._inference.limits, names)
        return items, bounds.expect(items, self._engine.model, names, largest)

    async def submit(self, task: Task, items: Sequence[Any], flow: Flow | None = None) -> list[Any]:
        """Returns one result an item that has been checked. flow: the stream that the items belong to."""
        return (await self._inference.answers.submit(self._engine, task, items, flow)).results
