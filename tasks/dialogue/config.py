"""Settings of dialogue."""

from dataclasses import dataclass

from tasks.common.text_config import TextTaskConfig

UNSPACED_LANGUAGES = ("chinese", "japanese", "thai", "traditionalchinese")


@dataclass(frozen=True, kw_only=True)
class DialogueConfig(TextTaskConfig):
    """Settings of dialogue."""

    language: str = "english"
    """Language: without data, the part of chatterbot-corpus; for languages without spaces BLEU counts characters."""
    turns_column: str = "dialog"
    """The column of a table that holds the turns of a conversation as a list."""
    context_turns: int = 3
    """Number of turns before the reply that the model reads."""
    backward: bool = False
    """Generate the context from the reply: a model for --rerank."""

    def __post_init__(self):
        super().__post_init__()
        if self.context_turns < 1:
            raise ValueError(f"context_turns is {self.context_turns}; allowed is 1 or more")

    def unused_settings(self) -> dict[str, str]:
        """List the settings that have no effect given the others, each with the reason."""
        unused = {"turns_column": "data is not set"} if self.data is None else {}
        return super().unused_settings() | unused
