"""Strings of megabytes in the fields of a job, which every list of jobs would hold and every change would write anew.

Right: each is answered with 422 at once, and the server's memory stays as it was.
"""

import httpx

from benchmarks.adversary.common import Neighbour, Server

CHARACTERS = 15_000_000
LONG = "c" * CHARACTERS
MIB = 2**20


def attacks() -> list[tuple[str, dict[str, object]]]:
    return [
        ("text_column", {"hyperparameters": {"text_column": LONG}}),
        ("learning_rate as text", {"hyperparameters": {"learning_rate": f"0.{'0' * CHARACTERS}1"}}),
        ("unknown name with null", {"hyperparameters": {LONG: None}}),
        ("webhook.secret", {"webhook": {"url": "https://example.org/", "secret": "whsec_" + "QUJD" * 3_000_000}}),
    ]


def main() -> None:
    with Server({"CLOZE_WORKERS": "0"}) as server, httpx.Client(base_url=server.url, timeout=300) as client:
        file = server.upload("a.txt", b"The lions hunt.\n\nThe deer run.\n")
        client.post("/v1/fill-mask", json={"input": "a [MASK]"})
        before = server.memory()
        with Neighbour(server.url) as neighbour:
            for name, changes in attacks():
                body = {"model": "bert-tiny", "training_file": file, **changes}
                answer = client.post("/v1/pretraining/jobs", json=body)
                seconds = answer.elapsed.total_seconds()
                print(f"{name}: {answer.status_code}, {len(answer.content):,} bytes, {seconds:.2f} s")
            listed = client.get("/v1/pretraining/jobs?limit=1000")
            print(f"list of jobs: {len(listed.content):,} bytes, {listed.elapsed.total_seconds():.2f} s")
        print(f"memory: {before / MIB:.0f} MiB before, {server.memory() / MIB:.0f} MiB after")
        print(f"neighbour: {neighbour.summary()}")


if __name__ == "__main__":
    main()
