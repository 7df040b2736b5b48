"""The state of the training loop, and the batches of a step."""

from dataclasses import dataclass, field
from typing import Any

from tasks.common.data.batching import Batch
from tasks.common.training.plan import TimePlan

StepRows = list[tuple[int, list[int]]]  # of each batch of a step, over all processes: position in the epoch, rows


@dataclass
class Progress:
    """The state of the loop: everything its decisions depend on, saved together with the weights."""

    step: int = 0
    epoch: int = 0
    batches_done: int = 0  # of this epoch
    seconds: float = 0.0
    loss: float = 0.0  # of this process, summed over the tokens since the last evaluation
    nll: float = 0.0  # negative log-likelihood, of the same tokens as the loss
    tokens: int = 0  # of all processes, since the last evaluation
    evaluated_at: float = 0.0  # seconds at the end of the last evaluation
    scaler: dict[str, Any] = field(default_factory=dict)  # state of the gradient scaler, for float16
    best_rank: list[int | float] = field(default_factory=list)  # of selection.py; empty before the first evaluation
    evals_since_best: int = 0
    num_lr_drops: int = 0  # reductions of the learning rate on plateaus
    num_log_lines: int = 0  # of metrics.jsonl
    best_checkpoints: list[list[int | float]] = field(default_factory=list)  # rank and step of each
    plan: TimePlan = field(default_factory=TimePlan)  # of a training that is given in minutes

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Progress":
        """Restore the state from its JSON form."""
        others = {name: value for name, value in values.items() if name != "plan"}
        return cls(**others, plan=TimePlan(**values["plan"]))


@dataclass(frozen=True)
class StepBatches:
    """The batches of this process in one step.

    Attributes:
        batches: The batches, at least one.
        is_dummy: True if the last, incomplete step of an epoch has no batch for this process. Since every process must
            take part in the gradient synchronization, it computes a batch of another process, with zero loss.
        num_batches: The number of batches of all processes.
    """

    batches: list[Batch]
    is_dummy: bool
    num_batches: int

    @property
    def num_tokens(self) -> int:
        return 0 if self.is_dummy else sum(batch.num_target_tokens for batch in self.batches)
