"""Watch on the validation split what attention does while a model is trained."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from attention.alignment_metrics import diagonality, entropy, masked_mean
from tasks.common.data.batching import Batch
from tasks.common.model import Seq2Seq

MIN_DIAGONALITY = 0.8  # correlation of target and source positions from which attention counts as monotonic
WARN_AFTER_EPOCHS = 10


class AttentionMonitor(Protocol):
    """Measures attention in every evaluation of the validation split."""

    @property
    def units(self) -> Mapping[str, str]:
        """The names of all possible measurements, each with its unit; empty for a number without one."""
        ...

    def measure(self, model: Seq2Seq, batch: Batch) -> Mapping[str, Sequence[float]]:
        """Return named measurements of each sentence; none for a decoder without attention weights."""
        ...

    def warning(self, means: Mapping[str, float], epoch: int) -> str | None:
        """Return a warning if the means of the measurements call for one at this epoch, else None."""
        ...


class FocusMonitor:
    """Measures how focused attention is, and how much of the context a gate lets through.

    The entropy, in bits, is log2 n for n equal weights, and 0 if all attention is on one position. A gate of 0 closes:
    the context does not matter.
    """

    units = MappingProxyType({"entropy": "bits", "gate": ""})

    def measure(self, model: Seq2Seq, batch: Batch) -> dict[str, list[float]]:
        aligned = model.align(batch)
        if aligned is None:
            return {}
        measured = {"entropy": entropy(aligned.weights, aligned.target_mask).tolist()}
        if aligned.gates is not None:
            measured["gate"] = masked_mean(aligned.gates, aligned.target_mask).tolist()
        return measured

    def warning(self, means: Mapping[str, float], epoch: int) -> None:
        return None


class DiagonalityMonitor:
    """Measures whether attention is monotonic, for tasks whose source and target run in the same order.

    Attention that has not found the order of the source after some epochs hardly finds it later.
    """

    units = MappingProxyType({"diagonality": ""})

    def measure(self, model: Seq2Seq, batch: Batch) -> dict[str, list[float]]:
        aligned = model.align(batch)
        return {} if aligned is None else {"diagonality": diagonality(aligned.weights, aligned.target_mask).tolist()}

    def warning(self, means: Mapping[str, float], epoch: int) -> str | None:
        value = means.get("diagonality", MIN_DIAGONALITY)
        if value >= MIN_DIAGONALITY or epoch < WARN_AFTER_EPOCHS:
            return None
        return (
            f"warning: attention is not monotonic yet (diagonality {value:.2f}, expected at least {MIN_DIAGONALITY}): "
            "try --decoder.ctc-weight 0.3, --attention.score location, or --attention.guidance-weight 1"
        )
