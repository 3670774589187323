"""Encoders of waveforms, wav2vec 2.0 and its kind, as requests use them."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor, nn
from transformers import PreTrainedModel

from app.errors import AppError, InvalidModel
from app.modalities.audio.frames import ConvolutionFrames
from app.modalities.audio.waveform_processor import WAVEFORM_MODELS, Floats, WaveformProcessor, load_waveform_processor
from app.modalities.base import AnyHandler, OneStepHandler, Prepared
from app.modalities.embedding import EmbedItem, EmbedResult, check_media_item, decode_windows, scale_vector
from app.modalities.model_files import first_line, read_config
from app.modalities.patch.checkpoint import load_masked
from app.modalities.patch.decoded_media import DecodedMedia
from app.modalities.served_model import ServedModel
from app.types import ModalityName, Pooling, Task

_UNUSED = ("masked_spec_embed",)
_PROOF_SECONDS = (0.5, 1.3, 0.5, 0.2)
_TOLERANCE = 1e-4  # of the largest number, for sums in another order


@dataclass(frozen=True)
class WaveformContext:
    item: EmbedItem
    media: DecodedMedia


Windows = list[Floats]  # of one sound: [S] each as inputs, [frames, H] each as raw results


class WaveformEmbed(OneStepHandler[EmbedItem, Windows, WaveformContext, list[Windows], Windows, EmbedResult]):
    """Embeds sounds: EmbedItem → EmbedResult. The inputs are the windows of a sound.

    Only windows of one length share a batch: many of these models normalize over the whole length, padding included.
    """

    reads_files = True

    def __init__(self, model: PreTrainedModel, processor: WaveformProcessor) -> None:
        self._model, self._processor = model, processor
        self._dimensions = int(model.config.hidden_size)
        self._frames = ConvolutionFrames.of_model(model.config.to_dict())

    def example(self) -> EmbedItem:
        return EmbedItem(self._processor.example())

    def decoding(self, item: EmbedItem) -> Callable[[], EmbedItem]:
        check_media_item(item, ModalityName.AUDIO, self._dimensions, class_token=False)
        return partial(decode_windows, self._processor, item)

    def prepare(self, item: EmbedItem) -> Prepared[Windows, WaveformContext]:
        media = item.input
        if not isinstance(media, DecodedMedia):
            return self.prepare(self.decoding(item)())
        windows = self._processor.windows(media)
        frames = sum(self._frames.count(len(window)) for window in windows)
        return Prepared(windows, frames, WaveformContext(item, media))

    def collate(self, inputs: Sequence[Windows]) -> list[Windows]:
        return list(inputs)

    @torch.inference_mode()
    def run(self, batch: list[Windows]) -> list[Windows]:
        """For each sound its windows' hidden states, [frames, H] each."""
        return [[window.cpu().numpy() for window in windows] for windows in self._encode(batch)]

    def compute_vectors(self, prepared: Sequence[Prepared[Windows, WaveformContext]]) -> Tensor:
        """Pools sounds by their mean → [B, D] float32, differentiable and not normalized."""
        sounds = self._encode([each.inputs for each in prepared])
        return torch.stack([torch.cat(windows).mean(0) for windows in sounds])

    def _encode(self, batch: Sequence[Windows]) -> list[list[Tensor]]:
        """For each sound its windows' hidden states, [frames, H] each, float32."""
        places = [(sound, window) for sound, windows in enumerate(batch) for window in range(len(windows))]
        found = [[torch.empty(0)] * len(windows) for windows in batch]
        for length in sorted({len(window) for windows in batch for window in windows}):
            group = [(sound, window) for sound, window in places if len(batch[sound][window]) == length]
            waves = torch.from_numpy(np.stack([batch[sound][window] for sound, window in group]))
            states = encode_waveforms(self._model, waves.to(self._model.device, self._model.dtype))
            for (sound, window), each in zip(group, states.float(), strict=True):
                found[sound][window] = each
        return found

    def finish(self, prepared: Prepared[Windows, WaveformContext], raw: Windows) -> EmbedResult:
        item, media = prepared.context.item, prepared.context.media
        if not all(np.isfinite(window).all() for window in raw):
            raise AppError("the model computed numbers that are not finite for this input")
        vector = _pool(raw, item)[..., : item.dimensions]
        return EmbedResult(scale_vector(vector, item), prepared.cost, media.times)


def _pool(windows: Windows, item: EmbedItem) -> Floats:
    """[H]; [W, H] for output="windows", [frames, H] for "tokens"."""
    if item.output == "tokens":
        return np.concatenate(windows)
    pooled = np.stack([window.max(0) if item.pooling is Pooling.MAX else window.mean(0) for window in windows])
    return pooled if item.output == "windows" else np.average(pooled, axis=0, weights=[len(each) for each in windows])


class WaveformModel(ServedModel):
    """A model whose encoder reads waveforms, as requests use it."""

    modality = ModalityName.AUDIO

    def __init__(self, model: PreTrainedModel, processor: WaveformProcessor) -> None:
        self.model, self.processor = model.eval(), processor
        self.dimensions = int(model.config.hidden_size)
        encoder: Any = model.base_model  # the model itself, if it is one
        self.tasks: dict[Task, AnyHandler] = {Task.EMBED: WaveformEmbed(encoder, processor)}

    def to(self, device: torch.device, dtype: torch.dtype) -> None:
        nn.Module.to(self.model, device, dtype)


def load_waveform(folder: Path, *, dtype: torch.dtype = torch.float32) -> WaveformModel:
    """Loads one of WAVEFORM_MODELS, in `dtype` on the CPU. One that comes from outside is compared with transformers.

    Raises InvalidModel for everything that cannot be or must not be loaded, and for wrong results.
    """
    config = read_config(folder, WAVEFORM_MODELS, "an encoder of waveforms")
    if config.get("add_adapter"):
        raise InvalidModel("add_adapter of true is not supported")
    model_class: Any = getattr(transformers, WAVEFORM_MODELS[str(config["model_type"])])
    unused = (*_UNUSED, *(f"{model_class.base_model_prefix}.{name}" for name in _UNUSED))
    model, _ = load_masked(model_class, folder, unused, {}, dtype)
    served = WaveformModel(model, load_waveform_processor(folder, ConvolutionFrames.of_model(model.config.to_dict())))
    if not (folder / "manifest.json").is_file():
        try:
            _prove(served, folder)
        except InvalidModel:
            raise
        except Exception as error:  # of any of transformers' models and processors
            raise InvalidModel(f"the model cannot be run: {first_line(error)}") from error
    return served


def encode_waveforms(model: Any, samples: Tensor) -> Tensor:
    """samples [B, S] → [B, frames, H]"""
    states: Tensor = model(samples).last_hidden_state
    return states


@torch.inference_mode()
def _prove(served: WaveformModel, folder: Path) -> None:
    """Compares a few sounds, alone and in one batch, with what transformers gives for each, in float32."""
    model, processor = copy.deepcopy(served.model).float(), served.processor
    handler, rng = WaveformEmbed(model, processor), np.random.default_rng(0)  # type: ignore[arg-type]
    extractor: Any = transformers.Wav2Vec2FeatureExtractor.from_pretrained(folder, local_files_only=True)
    lengths = [max(processor.least, round(seconds * processor.sample_rate)) for seconds in _PROOF_SECONDS]
    sounds = [rng.normal(0.05, 0.2, length).astype(np.float32) for length in lengths]
    inputs = [processor.windows(DecodedMedia(sound[None, :, None])) for sound in sounds]
    batch_outputs = handler.run(inputs)
    for sound, windows, batched in zip(sounds, inputs, batch_outputs, strict=True):
        values = extractor(sound, sampling_rate=processor.sample_rate, return_tensors="pt")["input_values"]
        expected = encode_waveforms(model, values)[0].numpy()
        [[alone]] = handler.run([windows])
        if not (_is_close(alone, expected) and _is_close(batched[0], expected)):
            raise InvalidModel("the model cannot be served: sounds are not encoded as transformers encodes them")


def _is_close(one: Floats, other: Floats) -> bool:
    """False for numbers that are not finite, too."""
    return one.shape == other.shape and bool(np.abs(one - other).max() <= _TOLERANCE * max(1.0, np.abs(other).max()))
