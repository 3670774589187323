"""Sends SIGTERM while requests decode and render what takes a minute; measures how long the end takes.

    python -m benchmarks.adversary.stop

Right: the server has ended within CLOZE_STOP_SECONDS (10) and a few seconds for its workers and Redis, with exit
status 0 and no traceback in its log; a request that was still under way got 503.
"""

import io
import threading
import time

import av
import httpx
import numpy as np

from benchmarks.adversary.common import Server

MINUTES = 28
HEAVY = 4  # requests at once


def silence(minutes: int) -> bytes:
    """A FLAC of a few hundred kilobytes."""
    out = io.BytesIO()
    samples = 4608
    with av.open(out, "w", format="flac") as container:
        stream = container.add_stream("flac", rate=48000)
        stream.layout = "stereo"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, samples * 2), np.int16), format="s16", layout="stereo")
        frame.sample_rate = 48000
        for number in range(48000 * 60 * minutes // samples):
            frame.pts = number * samples
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


def main() -> None:
    content = silence(MINUTES)
    print(f"{HEAVY} requests to reconstruct {MINUTES} minutes of silence, a FLAC of {len(content) / 1000:.0f} kB")
    answers: list[str] = []
    with Server() as server:
        httpx.post(f"{server.url}/v1/models/cloze-audio/load", timeout=120)

        def send() -> None:
            try:
                answer = httpx.post(
                    f"{server.url}/v1/reconstruct",
                    files={"file": ("a.flac", content)},
                    data={"model": "cloze-audio"},
                    timeout=300,
                )
                is_json = answer.headers["content-type"] == "application/json"
                code = answer.json().get("error", {}).get("code", "") if is_json else answer.text
                answers.append(f"{answer.status_code} {code}".strip())
            except httpx.TransportError as error:
                answers.append(type(error).__name__)

        threads = [threading.Thread(target=send) for _ in range(HEAVY)]
        for thread in threads:
            thread.start()
        time.sleep(5)
        took = server.stop(seconds=150)
        for thread in threads:
            thread.join()
        log = server.tail(100_000)
        print(f"ended with {server.process.returncode} after {took:.1f} s; answers: {', '.join(sorted(answers))}")
        print(f"tracebacks in the log: {log.count('Traceback')}")


if __name__ == "__main__":
    main()
