"""The cost of decoding beside the model: python -m benchmarks.media_cost [--requests 200] [--items 400]

Served: milliseconds an item of `/v1/embeddings`, from one client and from 16, of a small JPEG, a WAV of ten
seconds and a short MP4. In jobs: images and sounds a second that become a shard, in an empty cache.
"""

import argparse
import base64
import io
import resource
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import httpx
import numpy as np
import soundfile
from PIL import Image

from app.media.video import encode_mp4
from app.methods import AudioMaeHyperparameters, MaeHyperparameters
from app.modalities.audio.decoding import audio_decoding
from app.modalities.audio.geometry import audio_geometry
from app.modalities.audio.load import load_audio
from app.modalities.image.decoding import image_decoding
from app.modalities.image.geometry import image_geometry
from app.modalities.patch.decoding import Decoding
from app.modalities.patch.geometry import Geometry
from app.system.cpus import cpu_count
from app.system.process_pool import ProcessPool
from app.training.data.media_shards import decode_file
from app.training.data.source_file import SourceFile
from benchmarks.adversary.common import ROOT, Server

CLIENTS = (1, 16)


def jpeg(seed: int = 0, width: int = 320, height: int = 240) -> bytes:
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    out = io.BytesIO()
    small.resize((width, height), Image.Resampling.BICUBIC).save(out, "JPEG", quality=85)
    return out.getvalue()


def wav(seed: int = 0, seconds: float = 10.0, rate: int = 44_100) -> bytes:
    rng = np.random.default_rng(seed)
    out = io.BytesIO()
    soundfile.write(out, rng.normal(0, 0.1, round(seconds * rate)).astype(np.float32), rate, format="WAV")
    return out.getvalue()


def mp4(frames: int = 32, side: int = 160) -> bytes:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    return encode_mp4(np.stack([np.roll(picture, 4 * n, axis=1) for n in range(frames)]), fps=16)


FILES: dict[str, tuple[str, str, Callable[[], bytes]]] = {
    "JPEG of 320 × 240": ("cloze-image", "image/jpeg", jpeg),
    "WAV of 10 s": ("cloze-audio", "audio/wav", wav),
    "MP4 of 2 s": ("cloze-video", "video/mp4", mp4),
}


def served(requests: int) -> None:
    with Server() as server:
        for name, (model, media_type, make) in FILES.items():
            data = base64.b64encode(make()).decode()
            body = {"model": model, "input": f"data:{media_type};base64,{data}"}
            _ask(server.url, body, 16, 8)  # loads the model, and starts what is started lazily
            for clients in CLIENTS:
                seconds = _ask(server.url, body, requests, clients)
                print(
                    f"{name}, {clients} clients: {1000 * seconds / requests:.2f} ms an item"
                    f" ({requests / seconds:.1f} a second)",
                    flush=True,
                )


def _ask(url: str, body: object, requests: int, clients: int) -> float:
    waiting = iter(range(requests))
    guard = threading.Lock()

    def take() -> int | None:
        with guard:
            return next(waiting, None)

    def work() -> None:
        with httpx.Client(timeout=120) as client:
            while take() is not None:
                client.post(f"{url}/v1/embeddings", json=body).raise_for_status()

    threads = [threading.Thread(target=work) for _ in range(clients)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started


def in_jobs(items: int) -> None:
    cases = {
        "images": (image_decoding(_pixels(64)), "jpg", (jpeg(n, 640, 480) for n in range(items))),
        "sounds": (_sound_decoding(), "wav", (wav(n, 5.0) for n in range(items // 4))),
    }
    for name, (decoding, ending, files) in cases.items():
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "data.zip"
            count = _archive(source, ending, files)
            for _ in range(2):
                started, used = time.perf_counter(), _processor_seconds()
                cache = Path(folder) / f"cache-{time.time_ns()}"
                with ProcessPool(cpu_count()) as decoders:
                    decode_file(SourceFile(source, source.name), decoding, cache, decoders)
                seconds, used = time.perf_counter() - started, _processor_seconds() - used
                each = f"{1000 * used / count:.1f} ms of processor time each"
                print(f"{name} in jobs: {count / seconds:.1f} a second, {each}", flush=True)


def _processor_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _pixels(size: int) -> Geometry:
    config = {"model_type": "vit_mae", "image_size": size, "patch_size": 8}
    return image_geometry(config, MaeHyperparameters(crop=1.0))


def _sound_decoding() -> Decoding:
    objective = load_audio(next((ROOT / "model_store" / "cloze-audio").glob("*/config.json")).parent)
    config = asdict(objective.processor.mel) | objective.model.config.to_dict()
    return audio_decoding(audio_geometry(config, AudioMaeHyperparameters()), objective.processor)


def _archive(path: Path, ending: str, files: Iterator[bytes]) -> int:
    count = 0
    with zipfile.ZipFile(path, "w") as archive:
        for count, content in enumerate(files, 1):
            archive.writestr(f"{count:06}.{ending}", content)
    return count


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--items", type=int, default=400)
    parser.add_argument("--only", choices=("served", "jobs"))
    given = parser.parse_args()
    if given.only != "jobs":
        served(given.requests)
    if given.only != "served":
        in_jobs(given.items)
