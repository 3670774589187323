"""A peer, in an environment of its own: transformers' Trainer as its documentation describes it. Imports no Cloze.

python trainer_mlm.py OPTIONS.json: trains and prints one line of JSON, {"seconds", "steps"}.

Its best documented settings for this: bf16, the fused optimiser, packed rows of one length, no dropout.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, SequentialSampler
from transformers import (
    AutoModelForMaskedLM,
    AutoTokenizer,
    DataCollatorForLanguageModeling,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)


class Rows(Dataset):
    """ids [rows, L] with special tokens, and how many of each row are not padding."""

    def __init__(self, path: str) -> None:
        stored = np.load(path)
        self.ids, self.lengths = stored["ids"], stored["lengths"]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"input_ids": self.ids[index, : self.lengths[index]].tolist()}


class InOrder(Trainer):
    """Reads the rows as they lie, which both sides do."""

    def _get_train_sampler(self, *_: Any) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)


class Clock(TrainerCallback):
    """The first steps warm up."""

    def __init__(self, warm: int) -> None:
        self.warm, self.started, self.ended = warm, 0.0, 0.0

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.ended = time.perf_counter()
        if state.global_step == self.warm:
            self.started = self.ended


def main(options: dict[str, Any]) -> None:
    torch.set_num_threads(options["threads"])
    tokenizer = AutoTokenizer.from_pretrained(options["model"])
    model = AutoModelForMaskedLM.from_pretrained(
        options["model"], dtype=torch.float32, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    clock = Clock(options["warm"])
    trainer = InOrder(
        model=model,
        args=TrainingArguments(
            output_dir=options["out"],
            max_steps=options["steps"],
            per_device_train_batch_size=options["rows"],
            learning_rate=options["learning_rate"],
            lr_scheduler_type="linear",
            warmup_steps=options["warmup_steps"],
            weight_decay=0.01,
            adam_beta2=0.98,
            max_grad_norm=1.0,
            bf16=options["precision"] == "bfloat16",
            optim="adamw_torch_fused",
            use_cpu=True,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
            seed=options["seed"],
        ),
        train_dataset=Rows(options["data"]),
        data_collator=DataCollatorForLanguageModeling(tokenizer, mlm_probability=options["masking_rate"]),
        callbacks=[clock],
    )
    trainer.train()
    model.save_pretrained(options["out"])
    tokenizer.save_pretrained(options["out"])
    print(json.dumps({"seconds": clock.ended - clock.started, "steps": options["steps"] - options["warm"]}))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
