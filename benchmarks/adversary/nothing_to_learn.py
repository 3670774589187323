"""Jobs on texts without spaces, from which earlier versions learned nothing but succeeded.

Right: a preset learns from Thai and DNA with a tokenizer of its own; a stored model whose tokenizer cannot write the
text is refused when the job is created, with examples; a short model is continued with the defaults. Takes about two
minutes.

    python -m benchmarks.adversary.nothing_to_learn
"""

import random
import time
from typing import Any

import httpx

from benchmarks.adversary.common import Server

THAI = ("ภาษา", "ไทย", "แมว", "น้ำ", "ปลา", "สวย", "กิน", "บ้าน")


def main() -> None:
    rng = random.Random(0)
    thai = ["".join(rng.choices(THAI, k=50)) for _ in range(300)]
    dna = ["".join(rng.choices("ACGT", k=300)) for _ in range(300)]
    prose = [f"The lions {n} chase the zebras" for n in range(300)]
    with Server() as server:
        files = {
            name: server.upload(f"{name}.txt", "\n\n".join(lines).encode())
            for name, lines in (("thai", thai), ("dna", dna), ("prose", prose))
        }
        for name in ("thai", "dna"):
            print(name, "from scratch:", train(server, "bert-tiny", files[name], f"{name}-model"), flush=True)
            print(name, "on cloze-text:", train(server, "cloze-text", files[name], f"{name}-more"), flush=True)
        print("short:", train(server, "bert-tiny", files["prose"], "short", sequence_length=32))
        print("short, continued:", train(server, "short", files["prose"], "longer"))
        print("short, with 128 tokens:", train(server, "short", files["prose"], "longer", sequence_length=128))


def train(server: Server, model: str, file: str, name: str, **hyperparameters: Any) -> str:
    """Returns the outcome of a job of 20 steps, with its counts and losses."""
    body = {
        "model": model,
        "training_file": file,
        "name": name,
        "hyperparameters": {"max_steps": 20, **hyperparameters},
    }
    url = f"{server.url}/v1/pretraining/jobs"
    answer = httpx.post(url, json=body, timeout=60)
    if answer.status_code != 200:
        return f"{answer.status_code} {answer.json()['error']}"
    job = answer.json()
    while job["status"] not in ("succeeded", "failed", "cancelled"):
        time.sleep(0.5)
        job = httpx.get(f"{url}/{job['id']}").json()
    events = httpx.get(f"{url}/{job['id']}/events?order=asc").json()["data"]
    counted = [event["message"] for event in events if " tokens in " in event["message"]]
    series = httpx.get(f"{url}/{job['id']}/metrics?keys=eval_loss").json()["data"][0]
    return f"{job['error'] or job['status']}; {counted}; {series['count']} evaluations"


if __name__ == "__main__":
    main()
