"""How often a model finds the better of two sentences: python -m benchmarks.blimp BLIMP.jsonl[.xz] --model MODEL

Asks a running server, by POST /v1/score. BLiMP's minimal pairs (Warstadt et al. 2020) are lines with
`uid` (the paradigm), `good` and `bad`; a pair is right where the good one's log-likelihood is higher.
"""

import argparse
import itertools
import json
import lzma
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from app.commands.client import ApiClient

_REQUEST = 64  # pairs


def read(path: Path, pairs: int) -> dict[str, list[dict[str, str]]]:
    """Paradigm → its first so many pairs."""
    found: dict[str, list[dict[str, str]]] = defaultdict(list)
    with lzma.open(path, "rt") if path.suffix == ".xz" else path.open() as lines:
        for line in lines:
            pair = json.loads(line)
            if len(found[pair["uid"]]) < pairs:
                found[pair["uid"]].append(pair)
    return found


def log_likelihoods(client: ApiClient, texts: list[str], model: str | None, method: str) -> Iterator[float]:
    for start in range(0, len(texts), 2 * _REQUEST):
        body = {"model": model, "method": method, "input": texts[start : start + 2 * _REQUEST]}
        yield from (item["log_likelihood"] for item in client.post("/v1/score", body)["data"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--url")
    parser.add_argument("--pairs", type=int, default=1000, help="of each paradigm")
    parser.add_argument("--paradigms", type=int, help="only the first so many")
    parser.add_argument("--methods", nargs="+", default=["within-word-l2r", "original"])
    args = parser.parse_args()
    paradigms = dict(itertools.islice(read(args.data, args.pairs).items(), args.paradigms))
    texts = [pair[side] for pairs in paradigms.values() for pair in pairs for side in ("good", "bad")]
    accuracy: dict[str, dict[str, float]] = {}
    with ApiClient(args.url) as client:
        for method in args.methods:
            started = time.perf_counter()
            scores = log_likelihoods(client, texts, args.model, method)
            pairs_of = {name: [next(scores) > next(scores) for _ in pairs] for name, pairs in paradigms.items()}
            accuracy[method] = {name: sum(right) / len(right) for name, right in pairs_of.items()}
            seconds = time.perf_counter() - started
            print(f"{method}: {len(texts)} sentences in {seconds:.1f} s, {len(texts) / seconds:.1f}/s")
    print(f"\n| Paradigm | {' | '.join(args.methods)} |\n| --- |{' --- |' * len(args.methods)}")
    for name in paradigms:
        print(f"| {name} | {' | '.join(f'{accuracy[method][name]:.3f}' for method in args.methods)} |")
    means = [sum(each.values()) / len(each) for each in accuracy.values()]
    print(f"| all {len(paradigms)} | {' | '.join(f'{mean:.3f}' for mean in means)} |")


if __name__ == "__main__":
    main()
