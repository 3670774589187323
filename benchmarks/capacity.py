"""Computes what many models and requests cost: python -m benchmarks.capacity prints the tables of docs/capacity.md.

Simulates the queue of a server with figures of RESULTS.md. It measures nothing, and is the same on every machine.
"""

import argparse
import heapq
import itertools
import math
import random
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from app.system.rendezvous import choose_nodes

# RESULTS.md, "Serving embeddings": 2 cores of an AMD EPYC, bfloat16, a model of 22.7 million parameters, mixed texts
# of 36 tokens, one in each request. Answers a second and p99 in seconds by clients.
MEASURED = {1: (82, 0.03), 8: (172, 0.08), 64: (287, 0.33), 256: (314, 1.30)}
TOKENS = 36
HTTP_SECONDS = 0.00123  # "Cost of a request without the model", 16 at once; one after another on the event loop
MODEL_MIB, SERVER_MIB = 57, 501  # "Memory of loaded models": of each model, and of a server without models
LOAD_SECONDS = 0.52  # the same section: an answer with its load

FORWARDS = 2  # at once, on two cores
BUDGET, SHARE = 4096, 128  # tokens of a batch; tokens up to which a batch takes all that waits
P99 = 0.2  # seconds that a server's answers may take


@dataclass(frozen=True)
class Costs:
    """Seconds of a batch: `batch` and `token` for each of its tokens. Fitted to what was measured."""

    batch: float
    token: float

    def of(self, texts: int) -> float:
        return self.batch + self.token * TOKENS * texts


def fit() -> Costs:
    """Fits both costs to the measured rates of one client and of 64 clients, whose batches have about 30 texts."""
    alone = 1 / MEASURED[1][0] - HTTP_SECONDS
    crowded = FORWARDS / MEASURED[64][0]
    batch = (alone - crowded) / (1 - 1 / 30)
    return Costs(batch, (alone - batch) / TOKENS)


class Server:
    """The queue of one server: an event loop that takes requests one by one, and forwards that take batches."""

    def __init__(self, costs: Costs, answered: Callable[[float, int], None]) -> None:
        self._costs, self._answered = costs, answered
        self._events: list[tuple[float, int, str, tuple[int, int], list[int]]] = []
        self._numbers = itertools.count()
        self._loop_free = 0.0
        self._idle = FORWARDS
        self._queues: dict[int, deque[tuple[float, int]]] = {}

    def send(self, now: float, model: int, request: int) -> None:
        """A request that comes at a moment. Moments may not be before the last event that has run."""
        self._loop_free = max(self._loop_free, now) + HTTP_SECONDS
        self._push(self._loop_free, "arrive", (model, request), [])

    def run_next(self) -> float:
        """Runs the next event and returns its moment."""
        now, _, kind, (model, request), texts = heapq.heappop(self._events)
        if kind == "arrive":
            self._queues.setdefault(model, deque()).append((now, request))
        else:
            self._idle += 1
            for each in texts:
                self._answered(now, each)
        while self._idle and self._queues:
            self._start_batch(now)
        return now

    @property
    def next_moment(self) -> float:
        return self._events[0][0] if self._events else math.inf

    def _start_batch(self, now: float) -> None:
        model = min(self._queues, key=lambda each: self._queues[each][0])
        queue = self._queues[model]
        tokens = min(BUDGET, max(SHARE, math.ceil(len(queue) * TOKENS / FORWARDS)))
        texts = [queue.popleft()[1] for _ in range(min(len(queue), max(1, tokens // TOKENS)))]
        if not queue:
            del self._queues[model]
        self._idle -= 1
        self._push(now + self._costs.of(len(texts)), "end", (model, 0), texts)

    def _push(self, moment: float, kind: str, what: tuple[int, int], texts: list[int]) -> None:
        heapq.heappush(self._events, (moment, next(self._numbers), kind, what, texts))


def run_clients(costs: Costs, clients: int, requests: int = 6000) -> tuple[float, float]:
    """Returns answers a second and p99 for clients that send their next request when they have their answer."""
    seconds: list[float] = []
    sent = [0.0] * clients

    def on_answer(now: float, client: int) -> None:
        seconds.append(now - sent[client])
        sent[client] = now
        server.send(now, 0, client)

    server = Server(costs, on_answer)
    for client in range(clients):
        server.send(0.0, 0, client)
    now = 0.0
    while len(seconds) < requests:
        now = server.run_next()
    return len(seconds) / now, _p99(seconds)


def run_rate(costs: Costs, rate: float, popularity: Sequence[float], requests: int = 20_000) -> float:
    """Returns the p99 of requests that come at random (Poisson), for models of some popularity."""
    chance = random.Random(0)
    models = chance.choices(range(len(popularity)), popularity, k=requests)
    moments = list(itertools.accumulate(chance.expovariate(rate) for _ in models))
    seconds: list[float] = []
    server = Server(costs, lambda now, request: seconds.append(now - moments[request]))
    for request, (moment, model) in enumerate(zip(moments, models, strict=True)):
        while server.next_moment <= moment:
            server.run_next()
        server.send(moment, model, request)
    while server.next_moment < math.inf:
        server.run_next()
    return _p99(seconds)


def find_rate(costs: Costs, popularity: Sequence[float]) -> float:
    """Returns the highest rate at which p99 stays within P99, to 2 requests a second."""
    low, high = 2.0, 1 / HTTP_SECONDS
    while high - low > 2:
        middle = (low + high) / 2
        low, high = (middle, high) if run_rate(costs, middle, popularity) <= P99 else (low, middle)
    return low


def zipf(count: int) -> list[float]:
    """The shares of requests of models, of which the n-th most popular has 1/n of the first one's."""
    weights = [1 / rank for rank in range(1, count + 1)]
    return [weight / sum(weights) for weight in weights]


def find_loads(room: int, popularity: Sequence[float], requests: int = 100_000) -> float:
    """Returns the share of requests whose model is not among the `room` models that were used last.

    Counts after as many requests as it counts, so that models are loaded that fit.
    """
    chance = random.Random(0)
    loaded: OrderedDict[int, None] = OrderedDict()
    loads = 0
    for number, model in enumerate(chance.choices(range(len(popularity)), popularity, k=2 * requests)):
        if model not in loaded:
            loads += number >= requests
            if len(loaded) >= room:
                loaded.popitem(last=False)
        loaded[model] = None
        loaded.move_to_end(model)
    return loads / requests


def _p99(seconds: list[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.99)]


def check_lines(costs: Costs) -> Iterator[str]:
    yield "| Clients | Measured answers/s | Simulated | Measured p99 | Simulated |\n| --- | --- | --- | --- | --- |"
    for clients, (rate, p99) in MEASURED.items():
        found, slowest = run_clients(costs, clients)
        yield f"| {clients} | {rate} | {found:.0f} | {p99:.2f} s | {slowest:.2f} s |"


def rate_lines(costs: Costs, total: float) -> Iterator[str]:
    yield f"| Models on a server | Requests/s of a server | Servers for {total:,.0f} requests/s |\n| --- | --- | --- |"
    for models in (1, 10, 100, 1000):
        rate = find_rate(costs, zipf(models))
        yield f"| {models:,} | {rate:.0f} | {math.ceil(total / rate):,} |"


def memory_lines(models: int) -> Iterator[str]:
    yield "| Memory of a server | Models that fit | Requests that wait for a load | Loads a second at most |"
    yield "| --- | --- | --- | --- |"
    for gib in (4, 8, 16, 32, 64):
        room = min(models, (gib * 1024 - SERVER_MIB) // MODEL_MIB)
        yield f"| {gib} GiB | {room:,} | {find_loads(room, zipf(models)):.1%} | {1 / LOAD_SECONDS:.1f} |"


def placement_lines(models: int, total: float, rate: float) -> Iterator[str]:
    yield "| Servers of each model | Models of a server, at most | Load of the busiest server × its capacity |"
    yield "| --- | --- | --- |"
    servers = [f"server-{number}" for number in range(math.ceil(total / rate))]
    for count in (1, 4, 16, 64, len(servers)):
        held, load = Counter[str](), Counter[str]()
        for model, share in enumerate(zipf(models)):
            for server in choose_nodes(f"model-{model}", servers, count):
                held[server] += 1
                load[server] += share * total / count
        yield f"| {count} | {max(held.values()):,} | {max(load.values()) / rate:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--rate", type=float, default=100_000, help="requests a second")
    options = parser.parse_args()
    costs = fit()
    print(f"A batch takes {1000 * costs.batch:.2f} ms and {1000 * costs.token:.3f} ms a token.\n")
    rate = find_rate(costs, zipf(100))
    for lines in (
        partial(check_lines, costs),
        partial(rate_lines, costs, options.rate),
        partial(memory_lines, options.models),
        partial(placement_lines, options.models, options.rate, rate),
    ):
        print("\n".join(lines()), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
