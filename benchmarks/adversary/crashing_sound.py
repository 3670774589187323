"""A plain WAV of eight channels, whose decoding crashed the server: python -m benchmarks.adversary.crashing_sound

Sent twenty times, also among good inputs. Right: 200 or 422 each, at once; the server lives, and another user's
fill-mask keeps its pace.
"""

import base64
import struct
import time
from collections import Counter

import httpx

from benchmarks.adversary.common import Neighbour, Server
from benchmarks.media_cost import wav


def eight_channels(channels: int = 8, rate: int = 48_000, frames: int = 500) -> bytes:
    size = 2 * channels * frames
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * channels * 2, channels * 2, 16)
    head = b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + struct.pack("<I", 16) + form
    return head + b"data" + struct.pack("<I", size) + bytes(size)


def uri(content: bytes) -> str:
    return "data:audio/wav;base64," + base64.b64encode(content).decode()


def main() -> None:
    with Server() as server:
        good, bad = uri(wav(seconds=1.0)), uri(eight_channels())
        ask(server, [good])  # loads the model
        with Neighbour(server.url) as neighbour:
            time.sleep(5)
        print(f"idle: fill-mask {neighbour.summary()}")
        answers: Counter[str] = Counter()
        started = time.monotonic()
        with Neighbour(server.url) as neighbour:
            for _ in range(20):
                answers[ask(server, [bad])] += 1
                answers["among good ones: " + ask(server, [good, bad])] += 1
                if not server.alive:
                    break
        seconds = time.monotonic() - started
        print(f"{sum(answers.values())} requests in {seconds:.1f} s: {dict(answers)}")
        print(f"the server {'lives' if server.alive else f'ended with {server.process.poll()}'}")
        print(f"meanwhile: fill-mask {neighbour.summary()}; a good one afterwards: {ask(server, [good])}")


def ask(server: Server, inputs: list[str]) -> str:
    body = {"model": "cloze-audio", "input": inputs}
    try:
        answer = httpx.post(f"{server.url}/v1/embeddings", json=body, timeout=60)
    except httpx.TransportError as error:
        return type(error).__name__
    return f"{answer.status_code} {answer.json().get('error', {}).get('message', '')}".strip()


if __name__ == "__main__":
    main()
