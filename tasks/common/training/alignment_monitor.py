"""Watch whether attention becomes monotonic, for tasks whose source and target run in the same order."""

from attention.alignment_metrics import diagonality
from tasks.common.data.batching import Batch
from tasks.common.model import Seq2Seq

MIN_DIAGONALITY = 0.8  # correlation of target and source positions from which attention counts as monotonic
WARN_AFTER_EPOCHS = 10


class DiagonalityMonitor:
    """Measures the diagonality of the attention on the validation split, and warns if it stays low.

    Attention that has not found the order of the source after some epochs hardly finds it later.
    """

    name = "diagonality"

    def measure(self, model: Seq2Seq, batch: Batch) -> list[float]:
        """Return the diagonality of each sentence; nothing for a decoder without attention weights."""
        aligned = model.align(batch)
        return [] if aligned is None else diagonality(*aligned[:2]).tolist()

    def warning(self, value: float, epoch: int) -> str | None:
        """Return a warning if the mean of the measurements is too low at this epoch, else None."""
        if value >= MIN_DIAGONALITY or epoch < WARN_AFTER_EPOCHS:
            return None
        return (
            f"warning: attention is not monotonic yet (diagonality {value:.2f}, expected at least {MIN_DIAGONALITY}): "
            "try --decoder.ctc-weight 0.3, --attention.score location, or --attention.guidance-weight 1"
        )
