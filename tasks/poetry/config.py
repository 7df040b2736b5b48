"""Settings of poetry and of its search."""

from dataclasses import dataclass, field
from typing import Literal

from decoders.config import SearchConfig
from tasks.common.text_config import TextTaskConfig

PromptKind = Literal["lines", "first", "title"]


@dataclass(frozen=True, kw_only=True)
class PoetrySearchConfig(SearchConfig):
    """Settings of the search, with the verse form that it keeps."""

    form: Literal["free", "length", "rhyme"] = "free"
    """Verse form: none (free); lines of the same length, and their number (length); the same, and even lines rhyme with
    the second (rhyme)."""


@dataclass(frozen=True, kw_only=True)
class PoetryConfig(TextTaskConfig):
    """Settings of poetry."""

    prompt_kind: PromptKind = "lines"
    """The source: the lines so far, for the next line (lines); the first line (first) or the title (title), for all
    other lines."""
    stanza_lines: int = 4
    """Lines of a whole poem, with search.form length or rhyme."""
    line_length: int = 5
    """Characters of a line, with search.form length or rhyme, where no line is given."""
    search: PoetrySearchConfig = field(default_factory=PoetrySearchConfig)

    def __post_init__(self):
        super().__post_init__()
        for name in ("stanza_lines", "line_length"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed is 1 or more")

    def unused_settings(self) -> dict[str, str]:
        """List the settings that have no effect given the others, each with the reason."""
        unused = super().unused_settings()
        if self.search.form == "free":
            unused |= dict.fromkeys(("stanza_lines", "line_length"), "search.form is free")
        elif not self.decoder.is_label_synchronous:
            unused["search.form"] = f"decoder.kind is {self.decoder.kind}"
        if self.prompt_kind == "lines":
            unused["stanza_lines"] = "prompt_kind is lines"
        if self.prompt_kind != "title":  # a line is given
            unused["line_length"] = f"prompt_kind is {self.prompt_kind}"
        return unused
