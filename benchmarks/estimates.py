"""How honest `estimated_finish` is: python -m benchmarks.estimates FILE --steps 400

Submits a job to a running server, reads its estimate once a second, and compares all of the run's second half
with when the job really ended: as a share of what was left then, and of the whole run.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import httpx

FINAL = {"succeeded", "failed", "cancelled"}


def watch(client: httpx.Client, job_id: str) -> tuple[dict[str, Any], list[tuple[float, float]]]:
    """The finished job, and (when, the end foreseen then) for every second in which there was an estimate."""
    seen: list[tuple[float, float]] = []
    while (job := client.get(f"/v1/pretraining/jobs/{job_id}").raise_for_status().json())["status"] not in FINAL:
        if job["estimated_finish"] is not None:
            seen.append((time.time(), job["estimated_finish"]))
        time.sleep(1)
    return job, seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--model", default="cloze-text")
    parser.add_argument("--steps", type=int, default=400)
    options = parser.parse_args()
    with httpx.Client(base_url=options.url, timeout=600) as client:
        with options.file.open("rb") as content:
            upload = client.post("/v1/files", files={"file": content}, data={"purpose": "fine-tune"})
        hyperparameters = {"max_steps": options.steps, "batch_tokens": 2048}
        body = {"model": options.model, "training_file": upload.raise_for_status().json()["id"], "name": "estimates"}
        created = client.post("/v1/pretraining/jobs", json={**body, "hyperparameters": hyperparameters})
        job, seen = watch(client, created.raise_for_status().json()["id"])
    begin, end = job["started_at"], job["finished_at"]
    half = [(when, foreseen) for when, foreseen in seen if (begin + end) / 2 <= when < end - 1]
    of_left = [abs(foreseen - end) / (end - when) for when, foreseen in half]
    of_all = [abs(foreseen - end) / (end - begin) for _, foreseen in half]
    print(f"{job['status']} after {end - begin} s; {len(half)} estimates in the second half were off by")
    print(f"  {max(of_all):.1%} of the run at the most, {sum(of_all) / len(of_all):.1%} on average")
    print(f"  {max(of_left):.1%} of what was left at the most, {sum(of_left) / len(of_left):.1%} on average")


if __name__ == "__main__":
    main()
