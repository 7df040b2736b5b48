"""The training loop, the same for all tasks. Data-parallel training is handled by Accelerate.

The random numbers of a step (dropout, scheduled sampling) depend only on the seed and the number of the step, and the
order of the data only on the seed and the epoch. So there is no state of random generators to save: a run that was
killed and resumed takes the same steps as one that was not.
"""

import contextlib
import math
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader

from decoders.config import SearchConfig, supports_mps
from tasks.common.console import console, stage
from tasks.common.data.batching import Batch, BatchDataset, BatchSampler
from tasks.common.errors import UsageError
from tasks.common.files import load_json, save_json
from tasks.common.inference.domain import Domain
from tasks.common.inference.predictor import Predictor, generate_texts
from tasks.common.model import count_parameters
from tasks.common.task import Task
from tasks.common.training import checkpoints
from tasks.common.training.criterion import build_criterion
from tasks.common.training.initialization import init_weights
from tasks.common.training.logging import StopSignal, TensorBoardLogger, init_worker
from tasks.common.training.optimization import build_optimizer, set_learning_rates
from tasks.common.training.precision import autocast
from tasks.common.training.precompute import precompute_if_frozen
from tasks.common.training.processes import Processes
from tasks.common.training.progress import Progress, StepBatches, StepRows
from tasks.common.training.schedules import teacher_forcing_probability, warmup_length
from tasks.common.training.selection import Rank, is_above_chance, rank_evaluation


class Trainer:
    """One training run: ``Trainer(task, folder, resume=...).run()``.

    Training runs to its end, or stops after Ctrl-C or SIGTERM. A stopped or killed run continues with ``resume=True``
    as if it had not been interrupted.
    """

    def __init__(self, task: Task, folder: Path, *, resume: bool, init_from: Path | None = None):
        """Load the data, fit the task, build the model and, if there is one, load the saved state.

        Args:
            task: The task, with its configuration.
            folder: The run folder.
            resume: Continue the run that is in the folder.
            init_from: A finished run with the same configuration, whose vocabulary and weights are used.

        Raises:
            UsageError: for invalid data or settings.
        """
        self.task, self.folder = task, folder
        self.config = task.config.train
        self.processes = Processes(supports_mps(task.config.decoder))
        self.device, self.is_main = self.processes.device, self.processes.is_main
        if self.config.precision == "fp16" and self.device.type == "cpu":
            raise UsageError("train.precision is fp16, which needs a GPU; on a CPU set it to bf16 or no")
        num_cores = os.cpu_count() or 1
        if self.config.num_workers > num_cores:
            raise UsageError(
                f"train.num_workers is {self.config.num_workers}; allowed is at most the number of cores, {num_cores}"
            )
        self.state_file = folder / "last" / "training.safetensors"
        resumed = resume and self.state_file.is_file()

        # Load the data, and fit the task: build its vocabularies and statistics.
        with stage("reading the training and validation data"):
            self.examples, self.validation = task.load("train"), task.load("validation")
        if self.is_main and not resumed:
            if init_from is None:
                with stage("learning the vocabulary and the statistics of the training data"):
                    task.fit(self.examples)
            else:
                task.load_state_dict(load_json(init_from / "vocabulary.json"))
            save_json(folder / "vocabulary.json", task.state_dict())
        self.processes.wait()
        task.load_state_dict(load_json(folder / "vocabulary.json"))

        # Build the model.
        torch.manual_seed(self.config.seed)
        self.model = task.build_model()
        init_weights(self.model, self.config.init)
        if init_from is not None and not resumed:
            weights = init_from / "best.safetensors"
            checkpoints.load_weights(self.model, checkpoints.read_weights(weights), weights)
        elif not resumed:
            task.warm_start(self.model)
        self.model.to(self.device)
        self.examples, self.validation = (
            precompute_if_frozen(task, self.model, examples) for examples in (self.examples, self.validation)
        )

        # Plan the batches.
        batch = task.config.batch
        self.sampler = BatchSampler(
            task.example_lengths(self.examples),
            batch,
            self.config.seed,
            num_targets=task.num_targets(self.examples, training=True),
            drop_too_long=True,
        )
        if len(self.sampler.rows) == 0:
            raise UsageError(
                f"all {len(self.examples)} training examples are longer than batch.max_source_length "
                f"({batch.max_source_length}) or batch.max_target_length ({batch.max_target_length})"
            )
        self.validation_lengths = task.example_lengths(self.validation)
        self.validation_batches = BatchSampler(
            self.validation_lengths, batch, seed=0, num_targets=task.num_targets(self.validation)
        ).by_length()

        # Resume, and make ready to train.
        self.optimizer = build_optimizer(self.model, self.config)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.config.precision == "fp16")
        self.progress = Progress()
        if resumed:
            self.progress = Progress.from_dict(checkpoints.load_training(self.state_file, self.model, self.optimizer))
            if self.processes.rank:  # the saved values are the sums over all processes
                self.progress.loss = self.progress.nll = 0.0
            self.scaler.load_state_dict(self.progress.scaler)
        # The criterion returns the training loss of a batch. For maximum likelihood it is the model itself, whose
        # forward returns the summed cross-entropy.
        self.criterion: nn.Module = self.processes.wrap(build_criterion(task, self.model, self.examples))
        self.metrics_log = (
            checkpoints.MetricsLog(folder / "metrics.jsonl", self.progress.num_log_lines) if self.is_main else None
        )
        self.tensorboard = TensorBoardLogger(folder / "tensorboard", self.config.tensorboard and self.is_main)
        self.best_checkpoints = checkpoints.BestCheckpoints(
            folder / "checkpoints",
            self.progress.best_checkpoints,
            self.config.average_checkpoints,
        )
        if init_from is not None and not resumed:
            self.save()  # so that a resumed run does not need the folder init_from

    def run(self) -> None:
        """Train to the end: for each step forward, backward, clip, update; then log, evaluate and save where due.

        Raises:
            UsageError: for a loss that is not finite, naming the rows of its batch.
        """
        progress, plan = self.progress, self.progress.plan
        if plan.num_steps and 0 < self.config.max_minutes != plan.minutes:
            plan.restart(progress.step, progress.seconds, self.config)
        if self.should_stop() and not self.best_checkpoints.entries:
            return self.log(f"{self.folder} is finished; there is nothing to resume: {self.ending()}")
        self.log(self.description())
        self.log(self.describe_plan())
        started = time.monotonic() - progress.seconds
        with StopSignal() as stop:
            while not self.should_stop():
                signal_number = 0
                num_batches, steps = self.plan_epoch()
                with stage(f"epoch {progress.epoch + 1}", len(steps), announce=False) as advance:
                    for step in self.load_batches(steps):
                        self.set_learning_rates(num_batches)
                        loss, nll, tokens = self.forward_backward(step)
                        self.check_finite(loss, step.batches)
                        self.update_parameters()
                        progress.step += 1
                        progress.batches_done += step.num_batches
                        progress.tokens += tokens
                        progress.loss += loss
                        progress.nll += nll
                        advance(1)

                        # All processes have the same time, and so the same plan, and stop at the same step.
                        progress.seconds = self.processes.broadcast_main(time.monotonic() - started)
                        self.update_plan()
                        signal_number = int(max(self.processes.gather(stop.received)))
                        if signal_number or self.should_stop() or self.is_evaluation_due():
                            break
                        if self.is_due(self.config.save_steps):
                            self.save()
                is_epoch_done = progress.batches_done >= num_batches
                if is_epoch_done:
                    progress.epoch, progress.batches_done = progress.epoch + 1, 0
                evaluates_epoch = is_epoch_done and not self.config.max_minutes
                if evaluates_epoch or self.should_stop() or self.is_evaluation_due():
                    trained_s = progress.seconds
                    self.evaluate(num_batches)
                    progress.seconds = progress.evaluated_at = self.processes.broadcast_main(time.monotonic() - started)
                    if self.config.max_minutes:
                        plan.evaluation_done(progress.step, progress.seconds - trained_s, progress.seconds, self.config)
                    self.save()
                elif signal_number:
                    self.save()
                if signal_number and not self.should_stop():
                    name = "Ctrl-C" if signal_number == signal.SIGINT else signal.Signals(signal_number).name
                    self.log(f"stopped by {name} after step {progress.step:,}; continue with --resume")
                    raise SystemExit(128 + signal_number)
        self.finish()

    # ── The parts of a step ─────────────────────────────────────────────────────────────────────────────────

    def plan_epoch(self) -> tuple[int, list[StepRows]]:
        """Return the number of batches of this epoch, and the remaining steps."""
        size = self.config.grad_accum_steps * self.processes.count
        batches = list(enumerate(self.sampler.epoch(self.progress.epoch)))
        left = batches[self.progress.batches_done :]
        return len(batches), [left[start : start + size] for start in range(0, len(left), size)]

    def load_batches(self, steps: list[StepRows]) -> Iterator[StepBatches]:
        """Collate this process's batches of each step, in worker processes if there are any."""
        shares = [step[self.processes.rank :: self.processes.count] for step in steps]
        batches = [batch for step, share in zip(steps, shares, strict=True) for batch in share or step[:1]]
        loader = iter(
            DataLoader(
                BatchDataset(self.task, self.examples, batches, seed=self.config.seed, epoch=self.progress.epoch),
                batch_size=None,
                num_workers=self.config.num_workers,
                worker_init_fn=init_worker,
            )
        )
        for step, share in zip(steps, shares, strict=True):
            yield StepBatches([next(loader) for _ in share or step[:1]], is_dummy=not share, num_batches=len(step))

    def planned_steps(self, num_batches: int) -> int:
        """Return the planned number of steps, given that of the batches of an epoch; 0 before there is a plan."""
        if self.config.max_minutes:
            return self.progress.plan.num_steps
        return math.ceil(num_batches / (self.config.grad_accum_steps * self.processes.count)) * self.config.epochs

    def update_plan(self) -> None:
        """Time the step where the length of training is given in minutes, and tell the plan once it has been made."""
        progress, plan = self.progress, self.progress.plan
        if self.config.max_minutes:
            had_plan = plan.num_steps > 0
            plan.step_done(progress.step, progress.seconds, self.config)
            if plan.num_steps and not had_plan:
                self.log(self.describe_plan())

    def set_learning_rates(self, num_batches: int) -> None:
        progress = self.progress
        num_steps = self.planned_steps(num_batches)
        set_learning_rates(self.model, self.optimizer, self.config, progress.step, num_steps, progress.num_lr_drops)

    def forward_backward(self, step: StepBatches) -> tuple[float, float, int]:
        """Compute the gradients of the mean loss over all tokens of all processes' batches.

        Returns:
            The loss and the negative log-likelihood of this process's batches, summed over their tokens, and the
            number of tokens of all processes.
        """
        torch.manual_seed(
            (self.config.seed * 1_000_003 + self.progress.step) * self.processes.count + self.processes.rank
        )
        teacher_forcing = teacher_forcing_probability(self.config, self.progress.step)
        smoothing = self.config.label_smoothing
        tokens = int(self.processes.sum(step.num_tokens))
        losses = torch.zeros(2, device=self.device)  # the loss to train on, and the negative log-likelihood
        self.criterion.train()
        for batch in step.batches:
            is_last = batch is step.batches[-1]  # gradients are synchronized once, with the last batch
            with contextlib.nullcontext() if is_last else self.processes.skip_synchronization(self.criterion):
                with self.autocast():
                    loss = self.criterion(
                        batch.to(self.device), label_smoothing=smoothing, teacher_forcing=teacher_forcing
                    )
                total = loss.total * (not step.is_dummy)
                # Gradients are averaged over processes; multiplying by their number turns the average into the sum.
                self.scaler.scale(total * (self.processes.count / tokens)).backward()
                losses += torch.stack([total.detach(), loss.nll * (not step.is_dummy)])
        loss, nll = losses.tolist()
        return loss, nll, tokens

    def update_parameters(self) -> None:
        """Clip the gradients and take a step of the optimizer."""
        if self.config.max_grad_norm:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.criterion.parameters(), self.config.max_grad_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()

    def check_finite(self, loss: float, batches: list[Batch]) -> None:
        """Raise UsageError in all processes if the loss of one is not finite, naming the rows in its message."""
        total = self.processes.sum(loss)
        if not math.isfinite(loss):
            rows = sorted(row + 1 for batch in batches for row in batch.rows)
            raise UsageError(
                f"the loss became {loss} on the training rows {', '.join(map(str, rows[:10]))}"
                f"{' ...' if len(rows) > 10 else ''}; check them, lower train.lr, or set train.precision no"
            )
        if not math.isfinite(total):
            raise UsageError("the loss of another process became nan or infinite; its message names the rows")

    def autocast(self) -> torch.autocast:
        return autocast(self.config.precision, self.device)

    # ── Evaluation ──────────────────────────────────────────────────────────────────────────────────────────

    def evaluate(self, num_batches: int) -> None:
        """Score the validation split, keep the weights if they are among the best, and log."""
        progress = self.progress
        progress.num_log_lines += 1
        record = {
            "step": progress.step,
            "epoch": round(progress.epoch + progress.batches_done / num_batches, 2),
            "seconds": round(progress.seconds, 1),
            "lr": self.optimizer.param_groups[0]["lr"],
            "loss": self.processes.sum(progress.loss) / max(1, progress.tokens),
            "tokens_per_second": round(progress.tokens / max(1e-9, progress.seconds - progress.evaluated_at), 1),
        }
        record["validation"], rank = self.validate()
        if self.config.objective == "likelihood":  # self-critical training does not compute that of the references
            record["nll"] = self.processes.sum(progress.nll) / max(1, progress.tokens)
        progress.loss, progress.nll, progress.tokens = 0.0, 0.0, 0
        is_best = not progress.best_rank or rank > tuple(progress.best_rank)
        progress.evals_since_best = 0 if is_best else progress.evals_since_best + 1
        if is_best:
            progress.best_rank = [*rank]
        elif progress.evals_since_best % (self.config.plateau_patience + 1) == 0:
            progress.num_lr_drops += 1
        self.best_checkpoints.consider(rank, progress.step)
        if self.is_main:
            weights = checkpoints.weights_of(self.model)
            if is_best:
                checkpoints.save_weights(self.folder / "best.safetensors", weights)
            self.best_checkpoints.save(progress.step, weights)
        if self.metrics_log is not None:
            self.metrics_log.append(record)
        self.tensorboard.add(record, progress.step)
        monitor = self.task.attention_monitor
        warning = None if monitor is None else monitor.warning(record["validation"], progress.epoch)
        if warning:
            self.log(warning)
        losses = "  ".join(f"{name} {record[name]:.3f}" for name in ("loss", "nll") if name in record)
        scores = "  ".join(f"{name} {value:.2f}" for name, value in record["validation"].items())
        self.log(
            f"epoch {record['epoch']:g}  step {progress.step:,} of {self.planned_steps(num_batches):,}  {losses}  "
            f"{record['tokens_per_second']:,.0f} tokens/s  validation: {scores}"
            f"{f'  (best {self.selected_by(rank)})' if is_best else ''}"
        )

    @torch.no_grad()
    def validate(self) -> tuple[dict[str, float], Rank]:
        """Compute the likelihood of the validation split, and the fast metrics on the output of greedy search.

        Returns:
            The scores, and their rank among evaluations.
        """
        self.model.eval()
        monitor = self.task.attention_monitor
        nll, tokens = 0.0, 0
        measured: dict[str, list[float]] = {name: [] for name in monitor.names} if monitor is not None else {}
        for rows in self.validation_batches[self.processes.rank :: self.processes.count]:
            batch = self.task.collate(self.validation, rows).to(self.device)
            with self.autocast():
                nll += float(self.model(batch).nll)
                if monitor is not None:
                    for name, values in monitor.measure(self.model, batch).items():
                        measured[name].extend(values)
            tokens += batch.num_target_tokens
        greedy = SearchConfig(beam=1, max_length=self.task.config.search.max_length)
        predictor = Predictor(self.task, [self.model])
        hypotheses = generate_texts(
            predictor, self.validation, self.validation_lengths, greedy, self.processes.rank, self.processes.count
        )
        references = self.validation["references"]
        metrics = self.task.metrics_for(self.validation)
        scores = {metric.name: metric(hypotheses, references) for metric in metrics if metric.fast}
        scores["nll"] = self.processes.sum(nll) / self.processes.sum(tokens)
        for name, values in measured.items():
            count = self.processes.sum(len(values))
            if count:
                scores[name] = self.processes.sum(sum(values)) / count
        selection = self.task.selection_metric
        selecting = [metric for metric in metrics if metric.name == selection.name]
        counts = any(is_above_chance(metric, hypotheses, references) for metric in selecting)
        return scores, rank_evaluation(scores, selection, counts)

    def selected_by(self, rank: tuple[int | float, ...]) -> str:
        """Name the score that a rank is made of."""
        return self.task.selection_metric.name if rank[0] else "nll"

    def finish(self) -> None:
        """Average the best checkpoints, and keep the average if it scores better than the best of them."""
        self.processes.wait()
        averaged = self.best_checkpoints.average()
        if averaged is not None:
            checkpoints.load_weights(self.model, averaged, self.best_checkpoints.folder)
            _, rank = self.validate()
            best = tuple(self.progress.best_rank)
            is_better = rank > best
            self.log(
                f"average of {len(self.best_checkpoints.entries)} checkpoints: validation {self.selected_by(rank)} "
                f"{abs(rank[1]):.2f}, the best of them {self.selected_by(best)} {abs(best[1]):.2f}; "
                f"kept the {'average' if is_better else 'best'}"
            )
            if is_better and self.is_main:
                checkpoints.save_weights(self.folder / "best.safetensors", averaged)
        self.processes.wait()
        if self.is_main:
            self.best_checkpoints.clear()
            self.measure_domain()
        self.log(f"finished after {self.progress.seconds / 60:.1f} minutes: {self.ending()}")
        self.log(f"the model is in {self.folder}")

    def measure_domain(self) -> None:
        """Save the statistics by which prediction recognizes sources that are far from the training data."""
        weights = self.folder / "best.safetensors"
        checkpoints.load_weights(self.model, checkpoints.read_weights(weights), weights)
        lengths = [source for source, _ in self.validation_lengths]
        predictor = Predictor(self.task, [self.model.eval()])
        Domain.measure(predictor, self.validation["source"], lengths).save(self.folder)

    def save(self) -> None:
        """Save all that a resumed run needs."""
        loss, nll = self.processes.sum(self.progress.loss), self.processes.sum(self.progress.nll)
        self.progress.loss, self.progress.nll = (loss, nll) if self.processes.rank == 0 else (0.0, 0.0)
        self.progress.scaler = self.scaler.state_dict()
        if self.is_main:
            checkpoints.save_training(self.state_file, self.model, self.optimizer, asdict(self.progress))
            self.best_checkpoints.prune()

    # ── Stopping criteria and messages ─────────────────────────────────────────────────────────────────

    def should_stop(self) -> bool:
        """Tell whether training has come to its end: of its length, or of its patience."""
        progress, config = self.progress, self.config
        is_over = progress.plan.is_over(progress.step) if config.max_minutes else progress.epoch >= config.epochs
        return is_over or self.is_out_of_patience()

    def is_out_of_patience(self) -> bool:
        return 0 < self.config.patience <= self.progress.evals_since_best

    def is_due(self, every: int) -> bool:
        return every > 0 and self.progress.step % every == 0

    def is_evaluation_due(self) -> bool:
        """Tell whether there is an evaluation after this step, besides those at the end of training or of an epoch."""
        if self.config.max_minutes and not self.config.eval_steps:
            return self.progress.plan.is_evaluation_due(self.progress.step)
        return self.is_due(self.config.eval_steps)

    def ending(self) -> str:
        """Say what has ended the training, and which flag trains further."""
        config = self.config
        if self.is_out_of_patience():
            reason = f"{config.patience} evaluations brought no improvement"
            flag = "--train.early-stopping-patience (0: no limit)"
        elif config.max_minutes:
            reason, flag = f"its {config.max_minutes:g} minutes are over", "--train.max-minutes"
        else:
            reason, flag = f"its {config.epochs} epochs are done", "--train.epochs"
        return f"{reason}; to train further, use --resume with more {flag}"

    def describe_plan(self) -> str:
        config = self.config
        num_batches = len(self.sampler.epoch(self.progress.epoch))
        num_steps = self.planned_steps(num_batches)
        if not num_steps:
            return f"planned: {config.max_minutes:g} minutes; the first updates are timed"
        length = f"about {config.max_minutes:g} minutes" if config.max_minutes else f"{config.epochs} epochs"
        eval_steps = config.eval_steps or (self.progress.plan.eval_steps if config.max_minutes else 0)
        every = [f"every {eval_steps:,}"] * (eval_steps > 0) + ["after each epoch"] * (not config.max_minutes)
        return (
            f"planned: {num_steps:,} updates in {length}, warm-up {warmup_length(config, num_steps):,}, "
            f"evaluation {' and '.join(every)}"
        )

    def description(self) -> str:
        skipped = self.sampler.num_skipped
        return (
            f"{self.folder}: {count_parameters(self.model):,} parameters, {len(self.examples):,} training examples, "
            + (
                f"{skipped:,} of them skipped as longer than --batch.max-source-length or --batch.max-target-length, "
                if skipped
                else ""
            )
            + f"a vocabulary of {len(self.task.tokenizer):,}, on {self.processes.count} x {self.device.type}"
        )

    def log(self, text: str) -> None:
        if self.is_main:
            console.print(text)
