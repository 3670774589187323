"""The cost of a training step, by how the head and the attention are run: python -m benchmarks.training_step

Variants take turns within one run, so that a busy machine hurts them alike:

    naive    the plain model: logits at every position, sdpa attention
    gather   the head sees masked rows only, loss in bounded memory, sdpa attention
    eager    the same with eager attention
    cloze    and after its attention, the last layer too: what Cloze does on a CPU
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from transformers import BertConfig, BertForMaskedLM

from app.modalities.text.cross_entropy import linear_cross_entropy
from app.modalities.text.encoder import rows_before_head
from app.modalities.text.projection import vocabulary_left_out


def naive(model: BertForMaskedLM, ids: torch.Tensor, chosen: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    targets = torch.full((ids.numel(),), -100)
    targets[chosen] = labels
    return model(input_ids=ids, labels=targets.view_as(ids)).loss


def gather(model: BertForMaskedLM, ids: torch.Tensor, chosen: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return cloze(model, ids, chosen, labels, [])


def cloze(
    model: BertForMaskedLM,
    ids: torch.Tensor,
    chosen: torch.Tensor,
    labels: torch.Tensor,
    whole: list[torch.Tensor] | None = None,
) -> torch.Tensor:
    with rows_before_head(model, chosen, whole), vocabulary_left_out(model) as projection:
        features = model(input_ids=ids).logits[0]
    return linear_cross_entropy(features, projection.weight, projection.bias, labels)[0]


VARIANTS: dict[str, tuple[Callable[..., torch.Tensor], str]] = {
    "naive": (naive, "sdpa"),
    "gather": (gather, "sdpa"),
    "eager": (gather, "eager"),
    "cloze": (cloze, "eager"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--rate", type=float, default=0.15)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    # The size of all-MiniLM-L6-v2.
    config = BertConfig(
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1536,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    model = BertForMaskedLM(config)
    ids = torch.randint(config.vocab_size, (options.rows, 128))
    chosen = torch.randperm(ids.numel())[: int(options.rate * ids.numel())].sort().values
    labels = ids.reshape(-1)[chosen]
    seconds: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for _ in range(options.rounds):
        for name, (loss_of, attention) in VARIANTS.items():
            model.set_attn_implementation(attention)
            started = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16):
                loss = loss_of(model, ids, chosen, labels)
            loss.backward()
            seconds[name].append(time.perf_counter() - started)
            model.zero_grad(set_to_none=True)
    base = statistics.median(seconds["cloze"][1:])
    for name, taken in seconds.items():
        middle = statistics.median(taken[1:])  # the first round warms up
        spread = np.ptp(taken[1:]) / middle
        speed = f"{ids.numel() / middle:,.0f} tokens/s, {middle / base:.2f} × cloze"
        print(f"{name:8} {middle:.2f} s a step, {speed}, spread {spread:.0%}")


if __name__ == "__main__":
    main()
