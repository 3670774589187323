"""Measures scores beside one forward at a time: python -m benchmarks.scoring FILE --model MODEL [--variants]

FILE holds texts, one a line, which are scored by the method `original`. With --variants it is a FASTA file, and every
mutation of its first sequence is scored. Both ways run in this process, with the same weights, dtype and threads, and
in turn. One forward at a time is a loop over transformers' model with one masked token in each text. Prints the
forwards a second of both ways, the ratio of their medians, and the largest difference of a score.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import torch

from app.api.schemas.score import ScoreRequest
from app.devices import resolve_device, resolve_dtype
from app.inference.build import local_inference
from app.inference.client import LocalClient
from app.inference.service import Inference
from app.modalities import registry
from app.settings import Settings
from app.store.store import ModelStore
from app.validation import validate

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"


class PlainLoop:
    """A loop over transformers' own forward."""

    def __init__(self, settings: Settings, model: str) -> None:
        device = resolve_device(settings.device)
        dtype = resolve_dtype(settings.dtype, device)
        served = registry.load(ModelStore(settings.model_store).resolve(model).path, dtype=dtype)
        served.to(device, dtype)
        self._model: Any = served.model
        self._tokenizer: Any = served.tokenizer  # type: ignore[attr-defined]  # of models of text
        self._device = device

    @torch.inference_mode()
    def log_probs(self, text: str) -> tuple[list[int], torch.Tensor]:
        """Returns the tokens of a text [L] that are not special, and log-probabilities [L, V], each token masked."""
        encoded = self._tokenizer(text, return_special_tokens_mask=True)
        ids = encoded["input_ids"]
        places = [place for place, special in enumerate(encoded["special_tokens_mask"]) if not special]
        rows = []
        for place in places:
            masked = torch.tensor([ids], device=self._device)
            masked[0, place] = self._tokenizer.mask_token_id
            rows.append(self._model(input_ids=masked).logits[0, place].float().log_softmax(-1))
        return [ids[place] for place in places], torch.stack(rows)

    def score(self, text: str) -> float:
        """Returns the pseudo-log-likelihood of a text."""
        tokens, rows = self.log_probs(text)
        return float(rows.gather(1, torch.tensor(tokens, device=rows.device)[:, None]).sum())

    def score_variants(self, text: str) -> list[float]:
        """Returns the scores of all mutations of a text, by position and letter."""
        tokens, rows = self.log_probs(text)
        new = self._tokenizer.convert_tokens_to_ids(list(AMINO_ACIDS))
        gains = (rows[:, new] - rows.gather(1, torch.tensor(tokens, device=rows.device)[:, None])).tolist()
        pairs = zip(text, gains, strict=True)
        return [score for old, row in pairs for letter, score in zip(AMINO_ACIDS, row, strict=True) if letter != old]


async def ask(inference: Inference, body: dict[str, Any]) -> dict[str, Any]:
    request = validate(ScoreRequest, body)
    content = await inference.run(
        request.task, request.model, request.inputs, LocalClient(), to_item=request.to_item, write=request.write
    )
    answer: dict[str, Any] = orjson.loads(content)
    return answer


async def compare(inputs: Sequence[str], model: str, *, variants: bool, rounds: int) -> None:
    settings = Settings()
    loop = PlainLoop(settings, model)
    body: dict[str, Any] = {"model": model, "input": list(inputs)}
    body |= {"variants": "all", "letters": AMINO_ACIDS} if variants else {"method": "original"}
    seconds: dict[str, list[float]] = {"one at a time": [], "Cloze": []}
    async with local_inference(settings) as inference:
        await ask(inference, body | {"input": inputs[0]})  # loads the model
        for _ in range(rounds):
            started = time.perf_counter()
            plain = loop.score_variants(inputs[0]) if variants else [loop.score(text) for text in inputs]
            between = time.perf_counter()
            data = (await ask(inference, body))["data"]
            seconds["Cloze"].append(time.perf_counter() - between)
            seconds["one at a time"].append(between - started)
    found = [each["score"] for each in data[0]["variants"]] if variants else [each["log_likelihood"] for each in data]
    forwards = len(inputs[0]) if variants else sum(len(each["tokens"]) for each in data)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    print(f"{len(inputs)} inputs, {forwards} masked tokens, {len(found)} scores, {rounds} rounds")
    for name, median in medians.items():
        print(f"{name:14} {forwards / median:9.1f} forwards/s")
    print(f"ratio          {medians['one at a time'] / medians['Cloze']:9.2f}")
    print(f"difference     {max(abs(a - b) for a, b in zip(plain, found, strict=True)):9.4f}")


def read_inputs(path: Path, lines: int, *, variants: bool) -> list[str]:
    found = [line.strip() for line in path.read_text().splitlines() if line.strip()]
    if not variants:
        return found[:lines]
    sequence = ""
    for line in found:
        if line.startswith(">"):
            if sequence:
                break
        else:
            sequence += line
    return [sequence]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--variants", action="store_true")
    parser.add_argument("--lines", type=int, default=64, help="texts of the file that are scored")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    inputs = read_inputs(args.file, args.lines, variants=args.variants)
    asyncio.run(compare(inputs, args.model, variants=args.variants, rounds=args.rounds))


if __name__ == "__main__":
    main()
