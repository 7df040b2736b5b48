"""Pretrained video models as front ends: torchvision's convolutional ones, and VideoMAE by transformers."""

from abc import abstractmethod
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from encoders.base import Source
from encoders.pretrained.base import configuration, silent_transformers
from encoders.pretrained.image import Pixels, PretrainedVision, load_body, pixels_of, torchvision_body

CLIP = 16  # frames that torchvision's models were trained on
CHUNK = 2  # clips whose activations are held at a time, with checkpointing


class PretrainedVideo(PretrainedVision):
    """Clips to a state for some frames each, its regions' mean. Reads uint8 pixels.

    Clips of one length are computed together, so none meets another's padding. A clip that is shorter than the model
    can read shows its frames several times, at equal distances.
    """

    def __init__(self, body: Any, extractor: Pixels, *, checkpointing: bool = False):
        super().__init__(body, extractor, checkpointing=checkpointing)
        with torch.no_grad():
            states = self.look(torch.zeros(1, 3, self.wanted(1), extractor.size, extractor.size))
        self.dim = states.size(2)

    @abstractmethod
    def wanted(self, frames: int) -> int:
        """How many frames a clip of ``frames`` is brought to."""

    def forward(self, source: Source) -> tuple[Float[Tensor, "batch states dim"], Bool[Tensor, "batch states"]]:
        """``source.values``: UInt8[Tensor, "batch frames 3 size size"]."""
        sizes = source.mask.sum(dim=1)
        rows: dict[int, Float[Tensor, "states dim"]] = {}
        for frames in sizes.unique().tolist():
            alike = (sizes == frames).nonzero().squeeze(1)
            wanted = self.wanted(frames)
            shown = (torch.arange(wanted, device=alike.device) * frames).div(wanted, rounding_mode="floor")
            clips = self.normalised(source.values[alike][:, shown]).transpose(1, 2)
            rows |= zip(alike.tolist(), self.look_thriftily(clips, CHUNK), strict=True)
        states = [rows[row] for row in range(len(sizes))]
        real = [torch.ones(len(each), dtype=torch.bool, device=each.device) for each in states]
        return pad_sequence(states, batch_first=True), pad_sequence(real, batch_first=True)


class TorchvisionVideo(PretrainedVideo):
    """r3d_18, mc3_18, r2plus1d_18 (Tran et al. 2018) and s3d (Xie et al. 2018), without pooling and classifier."""

    library = "torchvision"

    def __init__(self, name: str, body: Any, extractor: Pixels, *, checkpointing: bool = False):
        self.name = name
        super().__init__(body, extractor, checkpointing=checkpointing)

    def wanted(self, frames: int) -> int:
        return max(frames, CLIP)

    def look(self, pixels: Float[Tensor, "batch 3 frames height width"]) -> Float[Tensor, "batch states dim"]:
        return self.body(pixels).mean(dim=(3, 4)).transpose(1, 2)

    def architecture(self) -> dict[str, Any]:
        return {"name": self.name}


class VideoMAE(PretrainedVideo):
    """VideoMAE (Tong et al. 2022): a Transformer over tubes of two frames, for one number of frames alone."""

    library = "transformers"

    def wanted(self, frames: int) -> int:
        return self.body.config.num_frames

    def look(self, pixels: Float[Tensor, "batch 3 frames height width"]) -> Float[Tensor, "batch states dim"]:
        tubes = self.body(pixel_values=pixels.transpose(1, 2)).last_hidden_state
        return tubes.unflatten(1, (pixels.size(2) // self.body.config.tubelet_size, -1)).mean(dim=2)

    def architecture(self) -> dict[str, Any]:
        return configuration(self.body)


def is_video_model(name: str) -> bool:
    """Whether ``name`` is a model of videos, to tell it from those of pictures. Raises ValueError if none is there."""
    library, _, model = name.rpartition(":")
    try:
        if library == "torchvision":
            import torchvision

            return model in torchvision.models.list_models(module=torchvision.models.video)
        return silent_transformers().AutoConfig.from_pretrained(name).model_type == "videomae"
    except Exception as error:  # of files, of the network, of code that is not ours
        raise cannot_load(name, error) from error


def load_video_model(name: str, size: int | None = None, *, checkpointing: bool = False) -> PretrainedVideo:
    """A model with its weights: VideoMAE by its id on the hub or its folder, or ``torchvision:r3d_18``.

    ``size``: the side of its frames in pixels (None: what it was trained on). Raises ValueError, in one line, for
    whatever can't be loaded, or can't read frames of this size.
    """
    library, _, model = name.rpartition(":")
    try:
        if library == "torchvision":
            from torchvision.models import get_model_weights

            weights = get_model_weights(model).DEFAULT  # type: ignore[attr-defined]
            settings = weights.transforms()
            pixels = Pixels(size or settings.crop_size[0], tuple(settings.mean), tuple(settings.std))
            return TorchvisionVideo(model, torchvision_body(model, weights), pixels, checkpointing=checkpointing)
        return VideoMAE(load_body(name), pixels_of(name, size), checkpointing=checkpointing)
    except Exception as error:
        raise cannot_load(name, error) from error


def rebuild_video_model(description: dict[str, Any], *, checkpointing: bool = False) -> PretrainedVideo:
    """What ``Pretrained.describe`` described, with random weights: those of a trained run are loaded afterwards."""
    model, pixels = description["model"], description["extractor"]
    extractor = Pixels(pixels["size"], tuple(pixels["mean"]), tuple(pixels["deviation"]))
    if description["library"] == "torchvision":
        body = torchvision_body(model["name"], None)
        return TorchvisionVideo(model["name"], body, extractor, checkpointing=checkpointing)
    transformers = silent_transformers()
    body = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(**model))
    return VideoMAE(body, extractor, checkpointing=checkpointing)


def cannot_load(name: str, error: Exception) -> ValueError:
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    return ValueError(f"the video model {name} can't be loaded: {reason}")
