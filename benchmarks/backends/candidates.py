"""One backend's forward, in the environment `backends`: reads a job from standard input, writes what it measured.

{"backend", "model", "threads", "batches": [{"ids", "mask"}], "single": […]}: token ids and mask [N, L] of each batch,
padded. Answers {"seconds", "single_ms", "vectors"}: of all batches, of one text, and the mean-pooled vectors [N, H].
"""

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModel

Forward = Callable[[np.ndarray, np.ndarray], np.ndarray]  # ids, mask [N, L] → hidden states [N, L, H]
ROUNDS, SINGLE_ROUNDS = 3, 5


class Encoder(torch.nn.Module):
    def __init__(self, folder: str, dtype: torch.dtype, attention: str) -> None:
        super().__init__()
        self.model = AutoModel.from_pretrained(folder, dtype=dtype, attn_implementation=attention).eval()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=input_ids, attention_mask=attention_mask, return_dict=False)[0].float()


def plain(model: torch.nn.Module) -> Forward:
    def forward(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return model(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()

    return forward


def torch_bf16(job: dict[str, Any]) -> Forward:
    return plain(Encoder(job["model"], torch.bfloat16, "sdpa"))


def compiled_bf16(job: dict[str, Any]) -> Forward:
    return plain(torch.compile(Encoder(job["model"], torch.bfloat16, "sdpa"), dynamic=True))


def example(job: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
    first = job["batches"][len(job["batches"]) // 2]
    return torch.tensor(first["ids"][:2]), torch.tensor(first["mask"][:2])


def openvino_bf16(job: dict[str, Any]) -> Forward:
    import openvino

    ids, mask = example(job)
    given = {"input_ids": ids, "attention_mask": mask}
    model = openvino.convert_model(Encoder(job["model"], torch.float32, "eager"), example_input=given)
    hints = {"INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": job["threads"], "NUM_STREAMS": 1}
    run = openvino.Core().compile_model(model, "CPU", hints)
    return lambda ids, mask: next(iter(run({"input_ids": ids, "attention_mask": mask}).values()))


def onnx_session(job: dict[str, Any], *, int8: bool) -> Forward:
    import onnxruntime
    from onnxruntime.quantization import quantize_dynamic

    folder = Path(tempfile.mkdtemp())
    path = folder / "model.onnx"
    axes = {0: "texts", 1: "tokens"}
    torch.onnx.export(
        Encoder(job["model"], torch.float32, "eager"),
        example(job),
        str(path),
        input_names=["input_ids", "attention_mask"],
        output_names=["hidden"],
        dynamic_axes={"input_ids": axes, "attention_mask": axes, "hidden": axes},
        opset_version=18,
        dynamo=False,
    )
    if int8:
        quantize_dynamic(path, folder / "int8.onnx")
        path = folder / "int8.onnx"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = job["threads"]
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda ids, mask: session.run(["hidden"], {"input_ids": ids, "attention_mask": mask})[0]


BACKENDS: dict[str, Callable[[dict[str, Any]], Forward]] = {
    "torch bf16": torch_bf16,
    "torch.compile bf16": compiled_bf16,
    "OpenVINO bf16": openvino_bf16,
    "ONNX Runtime fp32": lambda job: onnx_session(job, int8=False),
    "ONNX Runtime int8": lambda job: onnx_session(job, int8=True),
}


def pooled(hidden: np.ndarray, mask: np.ndarray) -> np.ndarray:
    weights = mask[..., None].astype(np.float32)
    return (hidden * weights).sum(1) / weights.sum(1)


def timed(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    job = json.load(sys.stdin)
    torch.set_num_threads(job["threads"])
    said = os.dup(1)
    os.dup2(2, 1)  # exporters print
    batches = [(np.array(each["ids"]), np.array(each["mask"])) for each in job["batches"]]
    alone = [(np.array([ids]), np.ones((1, len(ids)), np.int64)) for ids in job["single"]]
    forward = BACKENDS[job["backend"]](job)
    vectors = np.concatenate([pooled(forward(ids, mask), mask) for ids, mask in batches])
    for each in alone:
        forward(*each)
    seconds = min(timed(lambda: [forward(*batch) for batch in batches]) for _ in range(ROUNDS))
    single = [min(timed(lambda each=each: forward(*each)) for _ in range(SINGLE_ROUNDS)) for each in alone]
    answer = {"seconds": seconds, "single_ms": 1000 * statistics.median(single), "vectors": vectors.tolist()}
    with os.fdopen(said, "w") as out:
        json.dump(answer, out)


if __name__ == "__main__":
    main()
