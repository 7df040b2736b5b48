"""Plot what the four tasks of the demo generate from the same scene of the toy world."""

import io
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from decoders.base import EOS
from tasks.common.analysis.plots import AudioPanel, ImagePanel, TextPanel, VideoPanel, plot_scene
from tasks.common.analysis.subwords import merge_subwords
from tasks.common.data.arrays import unpack_array
from tasks.toy_world.grammar import COLORS
from tasks.toy_world.videos import FRAME_RATE_HZ

# Words whose attention is not shown on images; and on videos, where each word takes more space.
FUNCTION_WORDS = frozenset(("a", "an", "and", "are", "is", "of", "the", "there", "to", "while", ".", ","))
MINOR_WORDS = FUNCTION_WORDS | {"moves", "moving", *COLORS}


@dataclass(frozen=True)
class Example:
    """A source and the sentence generated from it.

    Attributes:
        task: The task of the model.
        source: The source, as the task loads it.
        references: The correct sentences.
        tokens: The tokens of the generated sentence.
        weights: The attention weights of each token and of the end of the sentence.
    """

    task: Any
    source: Any
    references: Sequence[str]
    tokens: list[int]
    weights: Float[Tensor, "target source"]

    @property
    def sentence(self) -> str:
        return self.task.detokenize(self.tokens)

    @property
    def reference(self) -> str:
        """The reference that equals the sentence, or else the first one."""
        return self.sentence if self.sentence in self.references else self.references[0]

    def words(self) -> tuple[list[str], Float[Tensor, "words source"]]:
        """Return the words of the sentence and their weights; the end of the sentence only if there are no words."""
        count = max(1, len(self.tokens))
        return merge_subwords(self.task.tokenizer.display_tokens([*self.tokens, EOS])[:count], self.weights[:count])


def plot_examples(
    description: str, text: Example, audio: Example, image: Example, video: Example, *, path: Path
) -> None:
    """Plot one example of each task, all of the same scene.

    Args:
        description: A correct description of the scene.
        text: The example of translation.
        audio: The example of speech recognition.
        image: The example of image captioning.
        video: The example of video to text.
        path: The PNG file.
    """
    plot_scene(
        description,
        text_panel(text),
        audio_panel(audio),
        image_panel(image),
        video_panel(video),
        path,
    )


def read_along(example: Example) -> str:
    """Write each word of a translation with the source token it attended to most: "seven←Sieben"."""
    panel = text_panel(example)
    most = panel.weights.argmax(dim=1).tolist()
    return " ".join(f"{word}←{panel.source[index]}" for word, index in zip(panel.words, most, strict=True))


def text_panel(example: Example) -> TextPanel:
    """Show a translation: the source tokens that each word attended to."""
    return TextPanel(
        "Read (German text)",
        example.sentence,
        example.reference,
        *example.words(),
        [token.removeprefix("·") for token in example.task.display_source(example.source)],
    )


def audio_panel(example: Example) -> AudioPanel:
    """Show a transcript: the audio frames that each word attended to, over a spectrogram."""
    features = unpack_array(example.source[0])
    duration_s = len(features) * example.task.report.frame_duration_s
    return AudioPanel("Heard (audio)", example.sentence, example.reference, *example.words(), features, duration_s)


def image_panel(example: Example) -> ImagePanel:
    """Show a caption: the image regions that each content word attended to."""
    words, weights = without(FUNCTION_WORDS, *example.words())
    regions = weights.unflatten(1, (math.isqrt(weights.size(1)), -1))
    image = np.asarray(Image.open(io.BytesIO(example.source["bytes"])).convert("RGB"))
    return ImagePanel("Seen (image)", example.sentence, example.reference, words, regions, image)


def video_panel(example: Example) -> VideoPanel:
    """Show a description: the frames, and regions if there are any, that each important word attended to."""
    words, weights = without(MINOR_WORDS, *example.words())
    task = example.task
    grid = task.region_grid if task.config.encoder.frame_aggregation == "regions" else (1, 1)
    frames = np.load(io.BytesIO(example.source["bytes"]), allow_pickle=False)
    regions, duration_s = weights.unflatten(1, (-1, *grid)), len(frames) / FRAME_RATE_HZ
    return VideoPanel("Watched (video)", example.sentence, example.reference, words, regions, frames, duration_s)


def without(
    skipped: Collection[str], words: list[str], weights: Float[Tensor, "words source"]
) -> tuple[list[str], Float[Tensor, "shown source"]]:
    """Leave out the words in ``skipped`` and their weights; leave none out if no other word would remain."""
    rows = [row for row, word in enumerate(words) if word.lower() not in skipped] or list(range(len(words)))
    return [words[row] for row in rows], weights[rows]
