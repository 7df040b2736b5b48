"""Translation: a sentence in one language in, the same sentence in another language out."""

from typing import TYPE_CHECKING

from tasks.common.data.parallel_text import load_pairs
from tasks.common.metrics.translation import translation_metrics
from tasks.common.text_task import TextTask
from tasks.toy_world import scenes
from tasks.translation.config import TranslationConfig

if TYPE_CHECKING:
    import datasets


class Translation(TextTask[TranslationConfig]):
    """Translate the toy world, parallel files, tables, or a parallel corpus from the hub."""

    hub_task = "translation"

    def __init__(self, config: TranslationConfig):
        super().__init__(config)
        self.metrics = translation_metrics(config.target)
        self.direction = (config.source, config.target)

    def load(self, split: str) -> "datasets.Dataset":
        config = self.config
        if config.data is None:
            return scenes.text_pairs(split, config.source, config.target)
        return load_pairs(config.data, split, config.source, config.target, config.skip_invalid)
