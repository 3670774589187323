"""Video: masked autoencoders that see clips (VideoMAE), and encoders of transformers."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.media.accepted import IMAGES, VIDEOS, AcceptedFiles
from app.methods.video import METHODS, VideoMaeHyperparameters
from app.modalities.descriptor import Rendering
from app.modalities.examples import classify_example, embed_example, reconstruct_example
from app.modalities.model_files import read_json
from app.modalities.patch.geometry import Geometry
from app.modalities.patch.modality import PatchModality
from app.modalities.video.encoder_types import VIDEO_ENCODERS
from app.modalities.video.geometry import video_geometry
from app.types import ModalityName, Task

if TYPE_CHECKING:
    import torch

    from app.modalities.served_model import AnyMaskedModel
    from app.modalities.video.training import VideoTraining


class VideoModality(PatchModality):
    name = ModalityName.VIDEO
    methods = METHODS
    model_types = frozenset({"videomae", *VIDEO_ENCODERS})
    examples: Mapping[Task, str] = {
        Task.EMBED: embed_example("data:video/mp4;base64,…"),
        Task.CLASSIFY: classify_example("data:video/mp4;base64,…"),
        Task.RECONSTRUCT: reconstruct_example("clip.mp4"),
    }

    def load(self, folder: Path, *, dtype: "torch.dtype") -> "AnyMaskedModel":
        from app.modalities.video.encoder import load_video_encoder
        from app.modalities.video.load import load_video

        is_encoder = read_json(folder / "config.json").get("model_type") in VIDEO_ENCODERS
        return load_video_encoder(folder, dtype=dtype) if is_encoder else load_video(folder, dtype=dtype)

    def accepted(self, hyperparameters: VideoMaeHyperparameters) -> AcceptedFiles:
        """Strips of frames side by side are images."""
        return IMAGES if hyperparameters.strip_frames else VIDEOS

    def geometry(self, config: Mapping[str, Any], hyperparameters: VideoMaeHyperparameters) -> Geometry:
        return video_geometry(config, hyperparameters)

    def training(self, method: str) -> "VideoTraining":
        from app.modalities.video.training import VideoTraining

        return VideoTraining()

    def rendering(self) -> Rendering:
        from app.modalities.video.renderings import RENDERING

        return RENDERING


VIDEO = VideoModality()
