"""Settings of translation."""

from dataclasses import dataclass

from tasks.common.text_config import TextTaskConfig


@dataclass(frozen=True, kw_only=True)
class TranslationConfig(TextTaskConfig):
    """Settings of translation."""

    source: str = "de"
    """Language, file ending or column to translate from."""
    target: str = "en"
    """Language, file ending or column to translate to."""

    def __post_init__(self):
        super().__post_init__()
        if self.source == self.target:
            raise ValueError(f"source and target are both {self.source!r}; allowed are two different ones")
