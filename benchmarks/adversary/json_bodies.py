"""JSON bodies of 15 MiB that grow when they are parsed: lists of lists, nulls, short strings, numbers, objects.

Right: they are refused for what they hold before Python objects are made of it, and the event loop never stands
still for as long as 50 ms: /health, which no thread delays, answers at once.
"""

import time

import httpx

from benchmarks.adversary.common import Neighbour, Server

SIZE = 15 << 20


def filled(value: str) -> bytes:
    return f'{{"input": [{",".join([value] * (SIZE // (len(value) + 1)))}]}}'.encode()


BODIES = {
    "lists of one element": lambda: filled("[1]"),
    "empty lists": lambda: filled("[]"),
    "objects": lambda: filled('{"a":1}'),
    "nulls": lambda: filled("null"),
    "numbers": lambda: filled("1"),
    "a million numbers": lambda: b'{"input": [' + b"12," * ((1 << 20) - 8) + b"1]}",
    "short strings": lambda: filled('"a"'),
    "fields": lambda: b"{" + b",".join(b'"%d":1' % i for i in range(SIZE // 10)) + b"}",
    "escaped text": lambda: rb'{"input": "' + rb"\u4e2d" * (SIZE // 6) + b'"}',
    "lone surrogates": lambda: rb'{"input": "' + rb"\ud83d" * (SIZE // 6) + b'"}',
    "a text of commas": lambda: b'{"input": "' + b"," * SIZE + b'"}',
}


def main() -> None:
    with Server() as server:
        with Neighbour(server.url) as idle, Neighbour(server.url, "/health", {}) as health:
            time.sleep(4)
        print(f"idle: {idle.summary()}\n  /health: {health.summary()}")
        for name, make in BODIES.items():
            body, before = make(), server.memory()
            headers = {"content-type": "application/json"}
            with Neighbour(server.url) as beside, Neighbour(server.url, "/health", {}, pause=0.005) as health:
                time.sleep(0.3)
                started = time.monotonic()
                answer = httpx.post(f"{server.url}/v1/embeddings", content=body, headers=headers, timeout=120)
                seconds = time.monotonic() - started
                time.sleep(0.3)
            code = answer.json().get("error", {}).get("code", "")
            print(
                f"{name}: {answer.status_code} {code} after {seconds:.1f} s; {(server.memory() - before) / 1e6:+.0f} MB"
            )
            print(f"  beside: {beside.summary()}\n  /health: {health.summary()}", flush=True)


if __name__ == "__main__":
    main()
