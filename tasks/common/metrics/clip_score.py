"""CLIPScore (Hessel et al. 2021): how well a caption fits its image to CLIP, without any reference."""

from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

import torch
from PIL import Image

from encoders.pretrained.base import check_complete, check_name, import_transformers, loading_error
from tasks.common.metrics.base import Metric, SentenceStats, mean_percent, name_model, stats_of_scores

BATCH_SIZE = 32  # images that are encoded at once


class ClipScore:
    """A CLIP that scores captions."""

    def __init__(self, name: str, device: torch.device):
        """Load the model.

        Args:
            name: Its folder, or its id on the Hugging Face hub.
            device: The device to compute on.

        Raises:
            ValueError: it can't be loaded, or is no CLIP.
        """
        self.name, self.device = name, device
        try:
            self.model, self.processor = load_clip(name)
        except ModuleNotFoundError:  # of an extra
            raise
        except Exception as error:  # files, the network and other libraries raise all kinds
            raise loading_error("CLIP", name, error) from error
        self.model = self.model.to(device).eval()

    def metric(self, images: Sequence[Any], open_image: Callable[[Any], Image.Image]) -> Metric:
        """Make the metric of captions of some images: the mean of 100 cos, and 0 where that is negative.

        Args:
            images: The image of each caption, in any form.
            open_image: Opens one of them.
        """

        def sufficient_stats(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
            scores: list[float] = []
            for start in range(0, len(hypotheses), BATCH_SIZE):
                rows = slice(start, start + BATCH_SIZE)
                scores += self.score([open_image(image) for image in images[rows]], hypotheses[rows])
            return stats_of_scores(scores)

        return Metric("clip_score", sufficient_stats, mean_percent, signature=self.signature)

    def signature(self, references: Sequence[Sequence[str]]) -> str:
        return f"100cos|model:{name_model(self.name)}|prompt:none|transformers:{version('transformers')}"

    @torch.inference_mode()
    def score(self, images: Sequence[Image.Image], texts: Sequence[str]) -> list[float]:
        """Compute the cosine of each image and its text; 0 where it is negative."""
        limit = self.model.config.text_config.max_position_embeddings
        settings = {"padding": True, "truncation": True, "max_length": limit, "return_tensors": "pt"}
        inputs = self.processor.tokenizer(list(texts), **settings)
        pixels = self.processor.image_processor(list(images), return_tensors="pt")
        found = self.model(**inputs.to(self.device), **pixels.to(self.device))
        cosines = torch.cosine_similarity(found.image_embeds.float(), found.text_embeds.float(), dim=-1)
        return cosines.clamp(min=0).tolist()


def load_clip(name: str) -> tuple[Any, Any]:
    """Load a CLIP and its processor. Raises ValueError if it is another model, or lacks weights."""
    transformers = import_transformers()
    check_name(name)
    kind = transformers.AutoConfig.from_pretrained(name).model_type
    if kind != "clip":
        raise ValueError(f"its type is {kind}; allowed is clip")
    model, report = transformers.CLIPModel.from_pretrained(name, output_loading_info=True)
    check_complete(list(report["missing_keys"]))
    return model, transformers.CLIPProcessor.from_pretrained(name)
