"""Code completion: the lines before the cursor in, the rest of the line or the next line out."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from decoders.base import Hypothesis
from tasks.code_completion.config import CodeCompletionConfig
from tasks.code_completion.data import load_code
from tasks.code_completion.metrics import completion_metrics, parses_metric
from tasks.code_completion.validity import code_context, is_valid_prefix
from tasks.common.metrics.base import Metric
from tasks.common.text_task import TextReport, TextTask

if TYPE_CHECKING:
    import datasets


class CodeCompletionReport(TextReport):
    """Add a baseline to the report that repeats the last line."""

    def baselines(self, examples: "datasets.Dataset") -> dict[str, list[str]]:
        """Return the last complete line of each source."""
        lines = [source.rpartition("\n")[0].rstrip() for source in examples["source"]]
        return {"repeat the last line": [text.rpartition("\n")[2] for text in lines]}


class CodeCompletion(TextTask[CodeCompletionConfig]):
    """Complete Python of the standard library, of a folder, of CodeXGLUE, or pairs of a table.

    The end of a source matters most, so long sources are truncated on the left. Among the hypotheses for a source,
    those that can be Python are ranked first.
    """

    builtin_data = "Python's standard library"
    truncation_side = "left"
    one_input_per_file = True
    report = CodeCompletionReport()

    def __init__(self, config: CodeCompletionConfig):
        super().__init__(config)
        self.metrics = completion_metrics()
        self.postprocess = self.valid_python_first

    def metrics_for(self, examples: "datasets.Dataset") -> tuple[Metric, ...]:
        return (*self.metrics, parses_metric(examples)) if "head" in examples.column_names else self.metrics

    def load(self, split: str) -> "datasets.Dataset":
        config = self.config
        return load_code(
            config.data,
            split,
            source=config.source,
            target=config.target,
            completion=config.completion,
            skip_invalid=config.skip_invalid,
        )

    def parse_source(self, text: str) -> str:
        """Normalize line ends and nothing else: spaces before the cursor matter."""
        return text.replace("\r\n", "\n")

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Turn the tokens of a hypothesis into one line, with its indentation."""
        return re.sub(r"[\r\n]+", " ", self.tokenizer.decode(tokens)).rstrip()

    def valid_python_first(self, source: str, hypotheses: list[Hypothesis]) -> list[Hypothesis]:
        """Move hypotheses that cannot be Python after the source to the end, otherwise in the same order."""
        return sorted(hypotheses, key=lambda each: not self.can_complete(source, self.detokenize(each.tokens)))

    def can_complete(self, source: str, text: str) -> bool:
        """Tell whether a line can be Python after its source: brackets, quotes, and the order of statements."""
        return is_valid_prefix(code_context(source, text))
