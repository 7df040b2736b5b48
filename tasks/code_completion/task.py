"""Code completion: the lines before in, the rest of a line or the next one out."""

import ast
import codeop
import keyword
import re
import textwrap
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import datasets
import numpy as np
from rapidfuzz import fuzz

from tasks.code_completion.data import load_code
from tasks.code_completion.examples import Cut
from tasks.common.metrics.base import Metric, SentenceStats, mean_percent, stats_of_scores
from tasks.common.text_task import TextTask, TextTaskConfig

QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")
NAME = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True, kw_only=True)
class CodeCompletionConfig(TextTaskConfig):
    source: str = "input"
    """Of a table of pairs: the column with what stands before."""
    target: str = "gt"
    """Of a table of pairs: the column with what is to be written."""
    cut: Cut = "any"
    """Where lines are cut: before a token (rest), before the line itself (line), or either."""


class CodeCompletion(TextTask[CodeCompletionConfig]):
    reads_end = True
    picky = True
    reads_whole_files = True

    def __init__(self, config: CodeCompletionConfig):
        super().__init__(config)
        self.metrics = (
            Metric("edit_similarity", edit_statistics, mean_percent),
            Metric("exact_match", exact_statistics, mean_percent),
            Metric("identifiers", identifier_statistics, f1),
        )

    def metrics_for(self, examples: datasets.Dataset) -> tuple[Metric, ...]:
        if "head" not in examples.column_names:
            return self.metrics
        around = list(zip(examples["head"], examples["tail"], strict=True))

        def parse_statistics(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
            return stats_of_scores(
                float(parses(f"{head}{text}\n{tail}")) for text, (head, tail) in zip(hypotheses, around, strict=True)
            )

        return (*self.metrics, Metric("parses", parse_statistics, mean_percent))

    def load(self, split: str) -> datasets.Dataset:
        config = self.config
        return load_code(config.data, split, config.source, config.target, config.cut, config.skip_invalid)

    def parse_source(self, text: str) -> str:
        """Everything counts, also the spaces after which the cursor stands; only line ends are made alike."""
        return text.replace("\r\n", "\n")

    def written(self, tokens: Sequence[int]) -> str:
        """With its indentation."""
        return re.sub(r"[\r\n]+", " ", self.tokenizer.decode(tokens)).rstrip()

    def possible(self, source: str, text: str) -> bool:
        """Whether the line can be Python behind its source: brackets and quotes, and what may follow what."""
        return begins(judged(source, text))

    def baselines(self, examples: datasets.Dataset) -> dict[str, list[str]]:
        """The last whole line once more."""
        wholes = [source.rpartition("\n")[0].rstrip() for source in examples["source"]]
        return {"repeat the last line": [whole.rpartition("\n")[2] for whole in wholes]}


def exact_statistics(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
    """Whether a reference is met, however it is spaced."""
    return stats_of_scores(
        float(text.split() in [right.split() for right in given])
        for text, given in zip(hypotheses, references, strict=True)
    )


def edit_statistics(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
    """1 - (insertions + deletions) / both lengths, to the nearest reference; spaces at both ends do not count."""
    return stats_of_scores(
        max(fuzz.ratio(text.strip(), right.strip()) for right in given) / 100
        for text, given in zip(hypotheses, references, strict=True)
    )


def identifier_statistics(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> SentenceStats:
    """Names in both, in the hypothesis, in the (first) reference; each as often as it stands there."""
    rows = []
    for text, given in zip(hypotheses, references, strict=True):
        written, right = names(text), names(given[0])
        rows.append([(written & right).total(), written.total(), right.total()])
    return np.array(rows, dtype=float)


def names(text: str) -> Counter[str]:
    """All but keywords, and what stands in quotes."""
    return Counter(name for name in NAME.findall(QUOTED.sub("", text)) if not keyword.iskeyword(name))


def f1(total: np.ndarray) -> float:
    """Of a sum of hits, of what was written and of what was right, in %."""
    return float(200 * total[0] / max(1.0, total[1] + total[2]))


def judged(source: str, text: str) -> str:
    """The line that is completed, behind as many lines of its source as are the beginning of a program: its first ones
    may stand in the midst of something. All are dedented together."""
    *whole, last = source.split("\n")
    line = last + text
    for start in range(len(whole)):
        lines = "\n".join(whole[start:])
        if begins(textwrap.dedent(lines) + "\n"):
            together = f"{lines}\n{line}"
            # A line that stands further left than all of them ends what they are part of, and is judged by itself.
            return textwrap.dedent(together if margin(line) >= margin(lines) else line) + "\n"
    return textwrap.dedent(line) + "\n"


def margin(lines: str) -> int:
    """Spaces in front of the leftmost line that is not blank."""
    return min((len(line) - len(line.lstrip()) for line in lines.split("\n") if line.strip()), default=0)


def begins(code: str) -> bool:
    """Whether a program may begin so: it may be unfinished, but not wrong."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            codeop.compile_command(code, symbol="exec")
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError):
        return False
    return True


def parses(code: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
