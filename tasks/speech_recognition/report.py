"""The evaluation report of speech recognition: the real-time factor, and the utterances with the most errors."""

from collections.abc import Sequence

import jiwer
import numpy as np

from tasks.common.inference.report import ReportExtras
from tasks.common.metrics.base import Metric
from tasks.speech_recognition.features import FRAMES_PER_SECOND

MAX_LISTED = 20  # utterances in the listing


class SpeechReport(ReportExtras):
    """Adds the real-time factor and a listing of the utterances with the most errors."""

    frame_duration_s = 1 / FRAMES_PER_SECOND

    def __init__(self, word_error_rate: Metric):
        """``word_error_rate``: the metric whose first three statistics are the numbers of wrong words."""
        self.word_error_rate = word_error_rate

    def listing(self, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> str:
        """List the utterances with the most wrong words, aligned word by word with their transcripts."""
        num_errors = self.word_error_rate.sufficient_stats(hypotheses, references)[:, :3].sum(axis=1)
        order = np.argsort(-num_errors, kind="stable")[:MAX_LISTED]
        rows = [row for row in order if num_errors[row] and references[row][0]]
        if not rows:
            return "no errors\n"
        alignment = jiwer.process_words(
            [str(references[row][0]) for row in rows], [str(hypotheses[row]) for row in rows]
        )
        text = jiwer.visualize_alignment(alignment, show_measures=False, skip_correct=False)
        for number, row in enumerate(rows, start=1):
            title = f"=== example {row + 1}: {num_errors[row]:.0f} wrong words ==="
            text = text.replace(f"=== SENTENCE {number} ===", title, 1)
        return text
