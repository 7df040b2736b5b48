"""Texts of any length in two languages, and a translator of them that is trained in half a minute.

A text is a list of colored digits, in the words of the toy world's scenes, so that its length is a free choice:

    eine kleine rote Sieben, eine blaue Zwei  ──►  a small red seven, a blue two
"""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from attention.config import AttentionConfig
from decoders.config import TransformerDecoderConfig
from encoders.config import TransformerEncoderConfig
from tasks.common.data.config import BatchConfig
from tasks.common.text_config import TextEncoderConfig
from tasks.toy_world.grammar import COLORS, GRAMMARS, SIZES
from tasks.toy_world.scenes import Scene, sample_scenes, text_pairs
from tasks.translation.config import TranslationConfig
from tasks.translation.presets import demo
from tasks.translation.task import Translation

if TYPE_CHECKING:
    import datasets

Object = tuple[int, str, str]  # a digit, its color and its size


class ToyScenes(Translation):
    """Translate descriptions of scenes, of which there are as many as asked for."""

    def __init__(self, config: TranslationConfig, num_pairs: int):
        """``num_pairs``: the number of pairs to train on; there is a tenth of it for each of the other splits."""
        super().__init__(config)
        self.num_pairs = num_pairs

    def load(self, split: str) -> "datasets.Dataset":
        count = self.num_pairs if split == "train" else self.num_pairs // 10
        return text_pairs(split, self.config.source, self.config.target, count)


class ToyLists(Translation):
    """Translate lists of objects, of a random number of them each."""

    def __init__(self, config: TranslationConfig, num_pairs: int, num_objects: range, sizes: Sequence[str] = SIZES):
        """Choose the data.

        Args:
            config: The settings of the model, and the languages.
            num_pairs: The number of pairs to train on; there is a tenth of it for each of the other splits.
            num_objects: The numbers of objects in a list, of which each is as frequent as the others.
            sizes: The sizes of the objects; one of medium size is named with a word less than others.
        """
        super().__init__(config)
        self.num_pairs, self.num_objects, self.sizes = num_pairs, num_objects, sizes

    def load(self, split: str) -> "datasets.Dataset":
        import datasets

        generator = random.Random(f"lists {split}")
        count = self.num_pairs if split == "train" else self.num_pairs // 10
        sources, targets = [], []
        while len(sources) < count:
            objects = sample_objects(generator, generator.choice(self.num_objects), self.sizes)
            if split_of(objects) == split:
                sources.append(list_objects(objects, self.config.source))
                targets.append(list_objects(objects, self.config.target))
        return datasets.Dataset.from_dict(
            {"source": sources, "target": targets, "references": [[text] for text in targets]}
        )


def sample_objects(generator: random.Random, count: int, sizes: Sequence[str]) -> list[Object]:
    """Sample the objects of a list."""
    return [(generator.randrange(10), generator.choice(COLORS), generator.choice(sizes)) for _ in range(count)]


def split_of(objects: list[Object]) -> str:
    """Return the only split in which a list may occur: no sentence to test on was trained on."""
    eighth = hashlib.sha256(repr(objects).encode()).digest()[0] % 8
    return {0: "test", 1: "validation"}.get(eighth, "train")


def list_objects(objects: list[Object], language: str) -> str:
    """Return the noun phrases of objects, with commas between them."""
    noun_phrase = GRAMMARS[language].noun_phrase
    return ", ".join(noun_phrase(*each, False) for each in objects)


def scene_to_show() -> Scene:
    """Return the scene of the test split that figures show: two objects, whose sizes are both named."""
    return next(
        scene
        for scene in sample_scenes("test", 100)
        if len(scene.objects) == 2 and all(item.size != "medium" for item in scene.objects)
    )


def small_config(**changes: Any) -> TranslationConfig:
    """Return the settings of translation's preset ``demo``, a bidirectional LSTM of 2 × 64 and a decoder of 128 units.

    Args:
        changes: Other groups of settings, as ``attention=AttentionConfig(score="dot")``.
    """
    return replace(demo(), **changes)


SMALL_BATCHES = BatchConfig(max_sources=32)  # more updates in the same time


def small_transformer(**changes: Any) -> TranslationConfig:
    """Return the settings of a Transformer (Vaswani et al. 2017) with about as many parameters as ``small_config``.

    Two layers of 64 features and 4 heads on either side.

    Args:
        changes: Other groups of settings.
    """
    attention = AttentionConfig(score="scaled_dot", num_heads=4)
    encoder = TransformerEncoderConfig(hidden_dim=64, num_layers=2, dropout=0.1)
    decoder = TransformerDecoderConfig(hidden_dim=64, num_layers=2, embedding_dim=64, dropout=0.1)
    return replace(
        demo(), encoder=TextEncoderConfig(encoder, embedding_dim=64), attention=attention, decoder=decoder, **changes
    )
