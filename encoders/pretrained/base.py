"""What all pretrained encoders share: freezing, and a description to rebuild them from."""

import json
import logging
from abc import ABC, abstractmethod
from types import ModuleType
from typing import Any

from encoders.base import Frontend


class PretrainedFrontend(Frontend, ABC):
    """A body that comes trained. It is frozen at first: see ``freeze``.

    ``extractor`` knows how the inputs that it reads are made of raw ones, and needs no body for it: so it can be sent
    to other processes. ``to_config`` of it gives all that its answer depends on, in JSON's types.
    """

    library: str
    extractor: Any

    def __init__(self, backbone: Any, dim: int):
        super().__init__()
        self.backbone = backbone.float()  # whatever the precision that it was saved in
        self.dim = dim
        self.frozen = False
        self.freeze(True)

    def freeze(self, frozen: bool) -> None:
        """Stop or start its learning, which may be said again before every update.

        While frozen it has no gradients and stays in evaluation mode: its dropout is off even in training, so its
        outputs are always the same for the same input. Thawed it goes into training mode.
        """
        if frozen != self.frozen:
            self.frozen = frozen
            self.requires_grad_(not frozen)
            self.train(not frozen)

    def train(self, mode: bool = True) -> "PretrainedFrontend":
        return super().train(mode and not self.frozen)

    @abstractmethod
    def backbone_settings(self) -> dict[str, Any]:
        """What its library builds the body from, in JSON's types."""

    def to_config(self) -> dict[str, Any]:
        """All that ``rebuild`` needs beside the weights, in JSON's types."""
        return {"library": self.library, "model": self.backbone_settings(), "extractor": self.extractor.to_config()}


def backbone_config(backbone: Any) -> dict[str, Any]:
    """A body's configuration, without what it says of the place and the version that it came from."""
    config = json.loads(backbone.config.to_json_string(use_diff=False))
    return {key: value for key, value in config.items() if key not in ("_name_or_path", "transformers_version")}


def import_transformers() -> ModuleType:
    """The library, kept from writing anything between the lines of a training.

    Raises ValueError if it is not installed.
    """
    try:
        import transformers
    except ImportError as error:
        raise ValueError("it needs transformers: pip install 'multimodal-seq2seq[pretrained]'") from error
    transformers.logging.set_verbosity(logging.CRITICAL)
    transformers.logging.disable_progress_bar()
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)
    return transformers
