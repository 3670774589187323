"""How good a text model of the store is, on held-out data: python -m benchmarks.text_quality MODEL --data FOLDER

    mlm        accuracy and loss at 15 % masking on wiki_en_valid, rows of 128 tokens, one seed for all models
    sts-b      Spearman's correlation of the embeddings' cosine with people's scores, on the test split
    prompts    the five best tokens of each mask

FOLDER holds wiki_en/ and text_eval/ as shared/data has them.
"""

import argparse
import json
import lzma
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr

from app.methods import MlmHyperparameters
from app.modalities.embedding import EmbedItem
from app.modalities.text.items import FillMaskItem
from app.modalities.text.objective import TextObjective
from app.training.data.rows import PackedRows, all_documents, pack
from app.training.data.shards import read_column, tokenize_file
from app.training.data.source_file import SourceFile
from app.training.loop.evaluate import evaluate
from app.training.loop.plan import make_plan
from app.types import Task
from benchmarks.offline import load_model, perform

PROMPTS = [
    "The [MASK] chase the [MASK] in the savanna.",
    "The capital of France is [MASK].",
    "She opened the [MASK] and began to read.",
    "Water boils at one hundred [MASK].",
]
LENGTH = 128
BATCH = 64


def mlm(objective: TextObjective, data: Path, cache: Path) -> dict[str, float]:
    held_out = data / "wiki_en" / "wiki_en_valid.jsonl.xz"
    shard = tokenize_file(SourceFile(held_out, held_out.name), read_column("text"), objective.tokenizer, cache)
    prefix, suffix = objective.affixes()
    segments = pack(all_documents([shard]), LENGTH, len(prefix) + len(suffix), share_rows=objective.packs)
    rows = PackedRows([shard], segments, prefix, suffix)
    hyperparameters = MlmHyperparameters(max_steps=1, sequence_length=LENGTH, max_eval_samples=len(rows))
    objective.start_training(hyperparameters, 0.15, None)
    plan = make_plan(
        hyperparameters,
        samples=len(rows),
        tokens=rows.tokens,
        samples_per_step=BATCH,
        from_scratch=False,
        new_head=False,
        precision=torch.float32,
    )
    return {**evaluate(objective, rows, plan, torch.device("cpu")), "rows": len(rows)}


def sts_b(objective: TextObjective, data: Path) -> float:
    with lzma.open(data / "text_eval" / "stsb.jsonl.xz", "rt", encoding="utf-8") as lines:
        rows = [row for row in map(json.loads, lines) if row["split"] == "test"]
    texts = [row[side] for side in ("sentence1", "sentence2") for row in rows]
    vectors = np.stack([r.vector for r in perform(objective, Task.EMBED, [EmbedItem(t, truncate=True) for t in texts])])
    similarity = (vectors[: len(rows)] * vectors[len(rows) :]).sum(1)
    return float(spearmanr(similarity, [row["score"] for row in rows]).statistic)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="an id of the store, or a folder")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--store", type=Path, default=Path("model_store"))
    parser.add_argument("--cache", type=Path, default=Path("var/cache"))
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    objective = load_model(options.model, options.store)
    assert isinstance(objective, TextObjective)
    print(f"sts-b test Spearman: {sts_b(objective, options.data):.4f}", flush=True)
    if Task.FILL_MASK in objective.tasks:
        for item, result in zip(
            PROMPTS, perform(objective, Task.FILL_MASK, [FillMaskItem(p) for p in PROMPTS]), strict=True
        ):
            print(item)
            for mask in result.masks:
                print("   ", ", ".join(f"{c.token_str} {c.score:.3f}" for c in mask.candidates))
        figures = mlm(objective, options.data, options.cache)
        print("mlm:", ", ".join(f"{k} {v:.4f}" for k, v in figures.items()), flush=True)


if __name__ == "__main__":
    main()
