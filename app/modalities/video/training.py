"""Models and clips of runs on videos."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.methods.video import VideoMaeHyperparameters
from app.modalities.patch.augment import ClipAugment
from app.modalities.patch.decoding import Decoding
from app.modalities.patch.geometry import Geometry
from app.modalities.patch.training import PatchTraining
from app.modalities.video.architectures import IMAGE_MEAN, IMAGE_STD, build_preset, grid_of
from app.modalities.video.decoding import video_decoding
from app.modalities.video.load import load_video
from app.modalities.video.objective import VideoObjective
from app.modalities.video.processor import VideoProcessor


class VideoTraining(PatchTraining[VideoMaeHyperparameters, VideoObjective]):
    def load(self, folder: Path, settings: Mapping[str, Any]) -> VideoObjective:
        return load_video(folder, new_head=True, settings=settings)

    def build(
        self, config: Mapping[str, Any], geometry: Geometry, hyperparameters: VideoMaeHyperparameters
    ) -> VideoObjective:
        fields = dict(config)
        stride = fields.pop("stride")
        (frames, size, _), (tubelet, patch, _) = geometry.grid.sizes, geometry.grid.patch
        shape = {"image_size": size, "patch_size": patch, "num_frames": frames, "tubelet_size": tubelet}
        model = build_preset(fields | shape)
        processor = VideoProcessor(
            grid_of(model),
            mean=IMAGE_MEAN,
            std=IMAGE_STD,
            stride=hyperparameters.stride or stride,
            frame_rate=hyperparameters.frame_rate,
        )
        return VideoObjective(model, processor, decodes=True, new_head=True)

    def decoding(
        self, objective: VideoObjective, geometry: Geometry, hyperparameters: VideoMaeHyperparameters
    ) -> Decoding:
        return video_decoding(geometry, objective.processor, hyperparameters.strip_frames)

    def augment(self, objective: VideoObjective, hyperparameters: VideoMaeHyperparameters) -> ClipAugment:
        hp = hyperparameters
        return ClipAugment(objective.processor.size, hp.crop, hp.flip, hp.color_jitter)
