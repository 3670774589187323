"""SIGTERM while costly files are decoded: python -m benchmarks.adversary.stop_while_decoding [COUNT]

COUNT requests with a GIF of 900 frames of four megapixels, which takes a minute to decode; SIGTERM five seconds
later. Right: the server ends within its time for requests under way (10 s), and its decoders with it.
"""

import base64
import io
import sys
import threading
import time
from collections import Counter

import httpx
from PIL import Image

from benchmarks.adversary.common import Neighbour, Server
from benchmarks.service import processes


def gif(frames: int = 900, side: int = 2000) -> bytes:
    pictures = [Image.new("P", (side, side), number % 2) for number in range(2)]
    out = io.BytesIO()
    others = [pictures[(number + 1) % 2] for number in range(frames - 1)]
    pictures[0].save(out, "GIF", save_all=True, append_images=others, duration=100)
    return out.getvalue()


def main(count: int) -> None:
    body = {"model": "cloze-video", "input": "data:image/gif;base64," + base64.b64encode(gif()).decode()}
    answers: Counter[str] = Counter()
    with Server() as server:
        httpx.post(f"{server.url}/v1/models/cloze-video/load", timeout=60)
        with Neighbour(server.url) as neighbour:
            time.sleep(5)
        print(f"idle: fill-mask {neighbour.summary()}")
        threads = [threading.Thread(target=ask, args=(server, body, answers)) for _ in range(count)]
        with Neighbour(server.url) as neighbour:
            for thread in threads:
                thread.start()
            time.sleep(5)
        print(f"while {count} are decoded: fill-mask {neighbour.summary()}")
        children = {pid for pid, parent, _ in processes() if parent == server.process.pid}
        print(f"SIGTERM: ended in {server.stop(100):.1f} s")
        for thread in threads:
            thread.join()
        left = children & {pid for pid, _, _ in processes()}
        print(f"answers: {dict(answers)}; {len(left)} of {len(children)} children are left")
        print(f"a traceback in the log: {'Traceback' in server.tail(100_000)}")


def ask(server: Server, body: object, answers: Counter[str]) -> None:
    try:
        answer = httpx.post(f"{server.url}/v1/embeddings", json=body, timeout=200)
        answers[f"{answer.status_code} {answer.text[:120]}"] += 1
    except httpx.TransportError as error:
        answers[type(error).__name__] += 1


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
