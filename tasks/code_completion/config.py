"""Settings of code completion."""

from dataclasses import dataclass
from typing import Literal

from tasks.common.text_config import TextTaskConfig

Completion = Literal["any", "line", "rest"]


@dataclass(frozen=True, kw_only=True)
class CodeCompletionConfig(TextTaskConfig):
    """Settings of code completion."""

    source: str = "input"
    """Column of a table of pairs with the code before."""
    target: str = "gt"
    """Column of a table of pairs with the completion."""
    completion: Completion = "any"
    """Part of a line to complete: the rest after a token (rest), the whole line (line), or either (any)."""

    def unused_settings(self) -> dict[str, str]:
        """List the settings that have no effect given the others, each with the reason."""
        unused = dict.fromkeys(("source", "target"), "data is not set") if self.data is None else {}
        return super().unused_settings() | unused
