"""Settings of summarization."""

from dataclasses import dataclass

from tasks.common.text_config import TextTaskConfig


@dataclass(frozen=True, kw_only=True)
class SummarizationConfig(TextTaskConfig):
    """Settings of summarization."""

    source: str = "document"
    """Column or file ending of the documents."""
    target: str = "summary"
    """Column or file ending of their summaries."""
    packages: tuple[str, ...] = ()
    """Without data: the packages whose docstrings are used (none: all installed packages)."""

    def unused_settings(self) -> dict[str, str]:
        """List the settings that have no effect given the others, each with the reason."""
        unused = {"packages": "data is set"}
        if self.data is None:
            unused = dict.fromkeys(("source", "target"), "data is not set")
        return super().unused_settings() | unused
