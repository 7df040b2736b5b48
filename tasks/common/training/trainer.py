"""The training loop, the same for all tasks. Data-parallel training is handled by Accelerate.

The random numbers of a step (dropout, scheduled sampling) depend only on the seed and the number of the step, and the
order of the data only on the seed and the epoch. So there is no state of random generators to save: a run that was
killed and resumed takes the same steps as one that was not. Only how many steps make the minutes of a training whose
length is given in minutes depends on the clock.
"""

import contextlib
import copy
import math
import signal
import time
from collections import deque
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from decoders.config import supports_mps
from tasks.common.console import console, stage
from tasks.common.errors import NotFiniteError, UsageError
from tasks.common.files import load_json, save_json
from tasks.common.inference.domain import Domain
from tasks.common.inference.predictor import Predictor
from tasks.common.model import Model, count_parameters
from tasks.common.task import Task
from tasks.common.task_group import TaskGroup, as_group, part_folder
from tasks.common.training import checkpoints
from tasks.common.training.attention_plots import AttentionPlots
from tasks.common.training.batches import StepBatches, TrainingBatches, count_workers
from tasks.common.training.criterion import Criterion
from tasks.common.training.evaluation_log import EvaluationLog
from tasks.common.training.initialization import init_weights
from tasks.common.training.optimization import build_optimizer, set_learning_rates
from tasks.common.training.plan import EpochPlan, is_multiple
from tasks.common.training.precision import autocast, check_precision
from tasks.common.training.precompute import precompute_if_frozen
from tasks.common.training.processes import TrainingProcesses
from tasks.common.training.progress import Progress
from tasks.common.training.schedules import teacher_forcing_probability
from tasks.common.training.signals import StopSignal
from tasks.common.training.taken_step import HostCopy, TakenStep
from tasks.common.training.time_plan import TimePlan
from tasks.common.training.tracking import RunTracker, import_tracker
from tasks.common.training.validation import Validation

MIN_LOSS_SCALE = 1.0  # of float16: gradients that overflow without any scaling are not too large for a step alone


class Trainer:
    """One training run: ``Trainer(task, folder, resume=...).run()``.

    Training runs to its end, or stops after Ctrl-C or SIGTERM. A stopped or killed run continues with ``resume=True``
    as if it had not been interrupted.

    It trains a task, or a group of tasks with one decoder, of which each step trains one. All that it uses of a group
    is in task_group.py; of each task the configuration; ``example_lengths``, ``num_targets`` and ``collate`` for
    batches; and in validation ``metrics_for``, ``selection_metric``, ``attention_monitor``, and what ``Predictor`` and
    ``Domain`` need.
    """

    def __init__(self, task: Task | TaskGroup, folder: Path, *, resume: bool, init_from: Path | None = None):
        """Load the data, fit the task, build the model and, if there is one, load the saved state.

        Args:
            task: The task or tasks, with their configuration.
            folder: The run folder.
            resume: Continue the run that is in the folder.
            init_from: A finished run with the same configuration, whose vocabulary and weights are used.

        Raises:
            UsageError: for invalid data or settings.
        """
        self.group, self.folder = as_group(task), folder
        group = self.group
        self.config = group.config.train
        self.processes = TrainingProcesses(
            supports_mps(group.config.decoder), uses_all_parameters=len(group.parts) == 1
        )
        self.device, self.is_main = self.processes.device, self.processes.is_main
        check_precision("train.precision", self.config.precision, self.device)
        count_workers(self.config, self.processes)  # refused before anything is read
        import_tracker(self.config.track)
        self.state_file = checkpoints.state_file(folder)
        if self.is_main and resume and not self.state_file.is_file():
            raise UsageError(
                f"{self.state_file} is missing, so {folder} can't be resumed; start a new run with its weights: "
                f"--init-from {folder}"
            )

        # Load the data, and fit the tasks: build its vocabularies and statistics.
        with stage("reading the training and validation data"):
            examples, validation = group.load("train"), group.load("validation")
        if self.is_main and not resume:
            if init_from is None:
                with stage("learning the vocabulary and the statistics of the training data"):
                    group.fit(examples)
            else:
                group.load_state_dict(load_json(init_from / "vocabulary.json"))
            save_json(folder / "vocabulary.json", group.state_dict())
        group.load_state_dict(self.processes.from_main(lambda: load_json(folder / "vocabulary.json")))

        # Build the model. The main process alone reads the run folder, which may be on one of several machines.
        torch.manual_seed(self.config.seed)
        self.model: Model = group.build_model()
        init_weights(self.model, self.config.init)
        if resume:
            if self.is_main:
                checkpoints.load_trained_weights(self.state_file, self.model)
        elif init_from is not None:
            weights = init_from / "best.safetensors"
            checkpoints.load_weights(self.model, checkpoints.read_weights(weights), weights)
        else:
            group.warm_start(self.model)
        self.processes.broadcast_weights(self.model.to(self.device))

        # Divide the data into batches.
        parts = group.parts.items()
        metrics = {name: part.metrics_for(validation[name]) for name, part in parts}  # some need the raw sources
        self.attention_plots = AttentionPlots(group, validation)
        examples, validation = (
            {name: precompute_if_frozen(part, self.model.part(name), split[name]) for name, part in parts}
            for split in (examples, validation)
        )
        self.batches = TrainingBatches(group, examples, self.processes)
        self.validation = Validation(group, validation, metrics, self.processes)

        # Resume, and make ready to train.
        self.optimizer = build_optimizer(self.model, self.config)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.config.precision == "fp16")
        self.progress = Progress()
        self.unread: deque[TakenStep] = deque()  # the steps whose losses were not read yet
        if resume:
            states, progress = self.processes.from_main(lambda: checkpoints.read_training(self.state_file))
            checkpoints.load_optimizer(self.optimizer, states, self.state_file)
            self.progress = Progress(**progress)
            if self.processes.rank:  # the saved values are the sums over all processes
                self.progress.loss, self.progress.nll = dict.fromkeys(self.progress.loss, 0.0), 0.0
            self.scaler.load_state_dict(self.progress.scaler)
            if self.is_main and self.progress.best_rank:  # a broken file would be noticed only at the end
                checkpoints.read_weights(folder / "best.safetensors")
        # The criterion returns the training loss of a batch: for maximum likelihood the summed cross-entropy.
        self.criterion: nn.Module = self.processes.wrap(Criterion(group, self.model, examples))
        self.plan = (
            TimePlan(self.config, self.progress)
            if self.config.max_minutes
            else EpochPlan(self.config, self.batches.count_steps(epoch=0))
        )
        self.log = EvaluationLog(folder, self.validation, self.progress.num_log_lines) if self.is_main else None
        if self.log is not None:
            self.progress.num_log_lines = self.log.num_records
        resume_at = self.progress.step if resume else None
        self.tracker = RunTracker(self.config.track if self.is_main else "none", folder, group.config, resume_at)
        self.best_checkpoints = checkpoints.BestCheckpoints(
            folder / "checkpoints",
            self.progress.best_checkpoints,
            self.config.average_checkpoints,
        )
        if resume and self.is_main:
            self.best_checkpoints.prune()  # it may have been killed before it did
        if not resume:
            self.save()  # a resumed run needs none of the runs that it began with
        self.started = time.monotonic() - self.progress.seconds

    def run(self) -> None:
        """Train to the end: for each step forward, backward, clip, update; then evaluate and save where due.

        Raises:
            UsageError: for a loss or a gradient that is not finite, naming the step and the rows of its batches; what
                was saved before is kept.
        """
        progress, plan = self.progress, self.plan
        if progress.is_finished and self.should_stop():
            return console.print(f"{self.folder} is finished; there is nothing to resume: {self.ending()}")
        progress.is_finished = False
        console.print(self.description())
        console.print(plan.description)
        with StopSignal() as stop, self.tracker:
            while not self.should_stop():
                num_steps = self.batches.count_steps(progress.epoch, progress.batches_done)
                with stage(f"epoch {progress.epoch + 1}", num_steps, announce=False) as advance:
                    for step in self.batches.load(progress.epoch, progress.batches_done):
                        self.set_learning_rates()
                        losses, tokens = self.forward_backward(step)
                        norm, scale = self.update_parameters(losses[0])
                        progress.step_done(step.part, tokens, step.num_batches, ends_epoch=step.ends_epoch)
                        numbers = HostCopy(torch.stack([*losses, norm, scale]))
                        self.unread.append(TakenStep(progress.step, step, numbers))
                        self.read_losses(num_left=1)  # a GPU is still computing the last step

                        # All processes have the same time, and so the same plan, and stop at the same step.
                        progress.seconds = self.read_clock()
                        message = plan.step_done(progress)
                        if message:
                            console.print(message)
                        advance(1)

                        is_evaluation_due = plan.is_evaluation_due(progress)
                        if is_evaluation_due:
                            self.evaluate()
                        signal_number = int(max(self.processes.gather(stop.received)))
                        is_save_due = is_multiple(progress.step, self.config.save_steps)
                        if is_evaluation_due or is_save_due or signal_number:
                            self.save()
                        if self.should_stop():
                            break
                        if signal_number:
                            name = "Ctrl-C" if signal_number == signal.SIGINT else signal.Signals(signal_number).name
                            console.print(f"stopped by {name} after step {progress.step:,}; continue with --resume")
                            raise SystemExit(128 + signal_number)
            if progress.num_tokens:  # since the last evaluation
                self.evaluate()
                self.save()
        self.finish()

    # ── The parts of a step ─────────────────────────────────────────────────────────────────────────────────

    def set_learning_rates(self) -> None:
        step, num_lr_drops = self.progress.step, self.progress.num_lr_drops
        set_learning_rates(self.model, self.optimizer, self.config, step, self.plan.num_steps, num_lr_drops)

    def forward_backward(self, step: StepBatches) -> tuple[Tensor, int]:
        """Compute the gradients of the mean loss over all tokens of all processes' batches.

        Returns:
            The loss and the negative log-likelihood of this process's batches, summed over their tokens, as one tensor;
            and the number of tokens of all processes.
        """
        self.processes.seed(self.config.seed * 1_000_003 + self.progress.step)
        teacher_forcing = teacher_forcing_probability(self.config, self.progress.step)
        smoothing = self.config.label_smoothing
        tokens = int(self.processes.sum(step.num_tokens))
        losses = torch.zeros(2, device=self.device)  # the loss to train on, and the negative log-likelihood
        self.criterion.train()
        for batch in step.batches:
            is_last = batch is step.batches[-1]  # gradients are synchronized once, with the last batch
            with contextlib.nullcontext() if is_last else self.processes.skip_synchronization(self.criterion):
                with autocast(self.config.precision, self.device):
                    loss = self.criterion(
                        step.part, batch.to(self.device), label_smoothing=smoothing, teacher_forcing=teacher_forcing
                    )
                total = loss.total * (not step.is_dummy)
                # Gradients are averaged over processes; multiplying by their number turns the average into the sum.
                self.scaler.scale(total * (self.processes.count / tokens)).backward()
                losses += torch.stack([total.detach(), loss.nll * (not step.is_dummy)])
        return losses, tokens

    def update_parameters(self, loss: Tensor) -> tuple[Tensor, Tensor]:
        """Clip the gradients and take a step of the optimizer, unless the loss or a gradient is not finite.

        Where gradients overflow in float16, the scaler scales the next losses by half.

        Returns:
            The norm of the gradients before clipping, the same in all processes, and the scale of the next loss (1 in
            another precision than float16).
        """
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.criterion.parameters(), self.config.max_grad_norm or math.inf)
        if not self.scaler.is_enabled():  # it does the same
            # With this attribute of a fused optimizer, the device decides whether a step changes anything.
            self.optimizer.found_inf = (~(loss + norm).isfinite()).float()  # pyright: ignore[reportAttributeAccessIssue]
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        return norm, self.scaler.scale(torch.ones_like(norm))

    def read_losses(self, num_left: int = 0) -> None:
        """Count the losses of the steps whose numbers were not read yet.

        Args:
            num_left: The number of the latest steps to leave.

        Raises:
            UsageError: for a loss or a gradient that is not finite.
        """
        while len(self.unread) > num_left:
            taken = self.unread.popleft()
            loss, nll, norm, scale = taken.numbers.tolist()
            self.check_finite("loss", loss, taken)
            if not (self.scaler.is_enabled() or math.isfinite(norm)):
                self.check_finite("gradient", norm, taken)
            if scale < MIN_LOSS_SCALE:
                raise UsageError(
                    f"the gradients overflow in {self.config.precision} in step {taken.number:,}, although the loss is "
                    f"no longer scaled; {self.advice()}"
                )
            self.progress.add_losses(taken.batches.part, loss, nll)

    def check_finite(self, name: str, value: float, taken: TakenStep) -> None:
        """Raise UsageError in all processes if the value of one is not finite, naming the rows of its batches."""
        total, step = self.processes.sum(value), taken.batches
        if not math.isfinite(total):
            own = [] if math.isfinite(value) else [row + 1 for batch in step.batches for row in batch.rows]
            rows = sorted({row for share in self.processes.gather_objects(own) for row in share})
            of_part = f" of {step.part}" if step.part else ""
            raise UsageError(
                f"the {name} became {total} in step {taken.number:,} on the training rows "
                f"{', '.join(map(str, rows[:10]))}{' ...' if len(rows) > 10 else ''}{of_part}; check them, "
                f"{self.advice()}"
            )

    def advice(self) -> str:
        """Say how to avoid numbers that are not finite, and how to keep what was learned before them."""
        less = " or set train.precision no"
        others = {"no": "", "auto": less, "bf16": less, "fp16": " or set train.precision bf16 or no"}
        best = self.folder / "best.safetensors"
        kept = f"; --init-from {self.folder} begins with its best weights so far" if best.is_file() else ""
        return f"lower train.lr{others[self.config.precision]} in a new run{kept}"

    def read_clock(self) -> float:
        """Return the seconds of training, evaluations included; the same in all processes."""
        return self.processes.broadcast_main(time.monotonic() - self.started)

    # ── Evaluation ──────────────────────────────────────────────────────────────────────────────────────────

    def evaluate(self) -> None:
        """Score the validation split, keep the weights if they are among the best, and log."""
        self.read_losses()
        progress = self.progress
        trained_s = progress.seconds
        losses = {name: self.processes.sum(loss) for name, loss in progress.loss.items()}  # the same parts in all
        try:
            scores, rank = self.validation.score(self.model)
        except NotFiniteError as error:
            raise UsageError(
                f"{error.number} of the validation data is not finite after step {progress.step:,}; check them, "
                f"{self.advice()}"
            ) from error
        record = {
            "step": progress.step,
            "epoch": round(self.batches.epochs_done(progress.epoch, progress.batches_done), 2),
            "seconds": round(trained_s, 1),
            "lr": self.optimizer.param_groups[0]["lr"],
            "loss": sum(losses.values()) / max(1, progress.num_tokens),
            "tokens_per_second": round(progress.num_tokens / max(1e-9, trained_s - progress.evaluated_at), 1),
            "validation": scores,
        }
        if self.config.objective == "likelihood":  # self-critical training does not compute that of the references
            record["nll"] = self.processes.sum(progress.nll) / max(1, progress.num_tokens)
        if len(self.group.parts) > 1:
            record["losses"] = {
                name: losses[name] / progress.tokens[name] for name in self.group.parts if name in losses
            }
        is_best = progress.evaluation_done(rank, self.config.plateau_patience)
        self.best_checkpoints.consider(rank, progress.step)
        if self.is_main:
            weights = checkpoints.weights_of(self.model)
            if is_best:
                checkpoints.save_weights(self.folder / "best.safetensors", weights)
            self.best_checkpoints.save(progress.step, weights)
        if self.log is not None:
            note = f"  (best {self.validation.selected_by(rank)})" if is_best else ""
            self.log.add(record, self.plan.num_steps, note)
        scalars = {name: value for name, value in record.items() if name != "step"}
        scalars["validation"] = self.validation.grouped(scores)
        self.tracker.log(scalars, lambda: self.attention_plots.render(self.model), progress.step)
        progress.seconds = progress.evaluated_at = self.read_clock()
        self.plan.evaluation_done(progress, progress.seconds - trained_s)

    def finish(self) -> None:
        """Average the best checkpoints, keep the average if it is better than any evaluation, and measure the domain.

        The files are written at the end, so a resumed run that was interrupted here does all of it again.
        """
        model = copy.deepcopy(self.model)  # further training continues with the weights of self.model
        averaged = self.average_checkpoints(model)
        if self.is_main:
            best = self.folder / "best.safetensors"
            weights = checkpoints.read_weights(best) if averaged is None else averaged
            checkpoints.load_weights(model, weights, best)
            model.eval()
            domains = {name: self.measure_domain(name, model) for name in self.group.parts}
            if averaged is not None:
                checkpoints.save_weights(best, averaged)
            for name, domain in domains.items():
                domain.save(part_folder(self.folder, name))
        self.best_checkpoints.entries.clear()
        self.progress.is_finished = True
        self.save()
        console.print(f"finished after {self.progress.seconds / 60:.1f} minutes: {self.ending()}")
        console.print(f"the model is in {self.folder}")

    def measure_domain(self, name: str, model: Model) -> Domain:
        """Measure a model on the validation split of a part."""
        part = self.validation.parts[name]
        predictor = Predictor(part.task, [model.part(name)])
        return Domain.measure(predictor, part.examples["source"], part.lengths[:, 0].tolist())

    def average_checkpoints(self, model: Model) -> dict[str, Tensor] | None:
        """Return the average of the best checkpoints if it is better than any evaluation, else None.

        Args:
            model: The model to compute its score with, whose weights it replaces.
        """
        averaged = self.processes.from_main(self.best_checkpoints.average)
        if averaged is None:
            return None
        checkpoints.load_weights(model, averaged, self.best_checkpoints.folder)
        _, rank = self.validation.score(model)
        best = bool(self.progress.best_rank[0]), self.progress.best_rank[1]
        console.print(
            f"average of {len(self.best_checkpoints.entries)} checkpoints: validation "
            f"{self.validation.describe_rank(rank)}, best until now {self.validation.describe_rank(best)}; "
            f"kept the {'average' if rank > best else 'best until now'}"
        )
        if rank <= best:
            return None
        self.progress.best_rank = [*rank]
        return averaged

    def save(self) -> None:
        """Save all that a resumed run needs."""
        self.read_losses()
        progress = self.progress
        # From now on the main process has the sums over all processes, as a resumed run.
        losses = {name: self.processes.sum(loss) for name, loss in progress.loss.items()}
        nll = self.processes.sum(progress.nll)
        is_first = self.processes.rank == 0
        progress.loss, progress.nll = (losses, nll) if is_first else (dict.fromkeys(losses, 0.0), 0.0)
        progress.scaler, progress.plan = self.scaler.state_dict(), self.plan.state_dict()
        if self.is_main:
            checkpoints.save_training(self.state_file, self.model, self.optimizer, asdict(progress))
            self.best_checkpoints.prune()

    # ── Stopping criteria and messages ─────────────────────────────────────────────────────────────────

    def should_stop(self) -> bool:
        """Tell whether training has come to its end: of its length, or of its patience."""
        return self.plan.is_over(self.progress) or self.is_out_of_patience()

    def is_out_of_patience(self) -> bool:
        return 0 < self.config.patience <= self.progress.evals_since_best

    def ending(self) -> str:
        """Say what has ended the training, and which flag trains further."""
        reason, flag = f"it was trained for {self.plan.length}", self.plan.flag
        if self.is_out_of_patience():
            reason = f"{self.config.patience} evaluations brought no improvement"
            flag = "--train.early-stopping-patience (0: no limit)"
        return f"{reason}; to train further, use --resume with more {flag}"

    def description(self) -> str:
        """Describe the size of the run: of the model, the data and the vocabulary, and the processes."""
        skipped = self.batches.num_skipped
        too_long = f"{skipped:,} of them skipped as longer than batch.max_source_length or batch.max_target_length, "
        return (
            f"{self.folder}: {count_parameters(self.model):,} parameters, {self.batches.num_examples:,} training "
            f"examples, {too_long if skipped else ''}a vocabulary of {len(self.group.tokenizer):,}, "
            f"on {self.processes.count} x {self.device.type}"
        )
