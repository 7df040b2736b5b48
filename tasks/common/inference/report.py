"""Additions of a task to its evaluation report."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datasets


class ReportExtras:
    """Parts of an evaluation report that only some tasks have. By default there are none.

    Attributes:
        perplexity: Report the perplexity of the references.
        frame_duration_s: Seconds of a frame, where ``Task.source_lengths`` counts frames in time; then the real-time
            factor is reported.
    """

    perplexity: bool = False
    frame_duration_s: float | None = None

    def baselines(self, examples: "datasets.Dataset") -> dict[str, list[str]]:
        """Return the outputs of rules without a model, by the name of the rule: what a model has to beat."""
        return {}

    def diversity(self, hypotheses: Sequence[str]) -> dict[str, float]:
        """Measure the variety of the hypotheses, where there is no single correct answer."""
        return {}

    def listing(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> str:
        """Return a text for a person about the hypotheses of a split; it is saved next to the scores."""
        return ""
