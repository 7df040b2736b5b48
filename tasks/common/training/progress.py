"""The state of the training loop."""

from dataclasses import dataclass, field
from typing import Any

from tasks.common.training.selection import Rank


@dataclass
class Progress:
    """The state of the loop: everything its decisions depend on, saved together with the weights."""

    step: int = 0
    epoch: int = 0
    batches_done: int = 0  # of this epoch
    seconds: float = 0.0
    loss: dict[str, float] = field(default_factory=dict)  # of each part and this process, since the last evaluation
    nll: float = 0.0  # negative log-likelihood, of the same tokens as the loss
    tokens: dict[str, int] = field(default_factory=dict)  # of each part and all processes, since the last evaluation
    evaluated_at: float = 0.0  # seconds at the end of the last evaluation
    scaler: dict[str, Any] = field(default_factory=dict)  # state of the gradient scaler, for float16
    best_rank: list[int | float] = field(default_factory=list)  # that of best.safetensors; empty before there is one
    evals_since_best: int = 0
    num_lr_drops: int = 0  # reductions of the learning rate on plateaus
    num_log_lines: int = 0  # of metrics.jsonl
    best_checkpoints: list[list[int | float]] = field(default_factory=list)  # rank and step of each
    plan: dict[str, Any] = field(default_factory=dict)  # state of the plan
    is_finished: bool = False  # the best checkpoints have been averaged, and all files of the run been written

    @property
    def num_tokens(self) -> int:
        """The target tokens of all processes since the last evaluation."""
        return sum(self.tokens.values())

    def step_done(self, part: str, tokens: int, num_batches: int, *, ends_epoch: bool) -> None:
        """Count a step.

        Args:
            part: The part whose batches it has trained on.
            tokens: The target tokens of all processes.
            num_batches: The batches of all processes.
            ends_epoch: Whether it is the last step of its epoch.
        """
        self.step += 1
        self.tokens[part] = self.tokens.get(part, 0) + tokens
        self.epoch, self.batches_done = (
            (self.epoch + 1, 0) if ends_epoch else (self.epoch, self.batches_done + num_batches)
        )

    def add_losses(self, part: str, loss: float, nll: float) -> None:
        """Add up the losses of a step, which are known some time after it was counted.

        Args:
            part: The part whose batches it has trained on.
            loss: The loss of this process, summed over its tokens.
            nll: Their negative log-likelihood in nats, summed likewise.
        """
        self.loss[part] = self.loss.get(part, 0.0) + loss
        self.nll += nll

    def evaluation_done(self, rank: Rank, plateau_patience: int) -> bool:
        """Count an evaluation.

        Args:
            rank: Its rank.
            plateau_patience: The evaluations without improvement before the learning rate is reduced.

        Returns:
            Whether it is the best one so far.
        """
        self.loss, self.nll, self.tokens = {}, 0.0, {}
        self.num_log_lines += 1
        is_best = not self.best_rank or rank > tuple(self.best_rank)
        if is_best:
            self.best_rank, self.evals_since_best = [*rank], 0
        else:
            self.evals_since_best += 1
            self.num_lr_drops += self.evals_since_best % (plateau_patience + 1) == 0
        return is_best
