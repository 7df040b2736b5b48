"""The learning loop, the same for all tasks; Accelerate behind it brings mixed precision and several processes.

What an update draws at random (dropout, scheduled sampling) depends on the seed and the update's number alone, and so
does the order of the data. So there is no state of random generators to save: a run that was killed and resumed
takes the same updates as one that was not.
"""

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn
from torch.utils.data import DataLoader

from attention import diagonality
from decoders.config import SearchConfig
from tasks.common.data.precompute import encode
from tasks.common.data.tables import Batch, BatchSampler
from tasks.common.errors import UsageError
from tasks.common.inference.evaluation import Predictor, decode
from tasks.common.model import count_parameters
from tasks.common.task import BatchDataset, Task
from tasks.common.training import checkpoints as checkpoint
from tasks.common.training.logging import ProgressBar, StopSignal, TensorBoardLogger, console, init_worker
from tasks.common.training.optimization import (
    build_optimizer,
    init_weights,
    pretrained,
    set_learning_rates,
    teacher_forcing_probability,
)
from tasks.common.training.self_critical import SelfCritical

DIAGONAL = 0.8  # the correlation from which attention counts as in order


@dataclass
class Progress:
    """Where training stands: all that the loop decides by, saved together with the weights."""

    update: int = 0
    epoch: int = 0
    position: int = 0  # batches of this epoch that are done
    seconds: float = 0.0
    loss: float = 0.0  # summed since the last evaluation, of this process
    tokens: int = 0  # since the last evaluation, of all processes
    evaluated: float = 0.0  # seconds when the last evaluation was over
    scaler: dict[str, Any] = field(default_factory=dict)  # of float16's gradients
    best: float | None = None
    evals_since_best: int = 0  # evaluations since the best one
    num_lr_drops: int = 0  # of the learning rate, on plateaus
    lines: int = 0  # of metrics.jsonl
    kept: list[list[int | float]] = field(default_factory=list)  # score and update of the best checkpoints


class Trainer:
    """One run: ``Trainer(task, folder, resume=...).run()`` trains to the end, or until Ctrl-C or SIGTERM.

    A stopped or killed run goes on with ``resume=True`` as if nothing had happened.
    Raises UsageError for bad data, and for a loss that is not finite, naming the rows it came from.
    """

    def __init__(self, task: Task, folder: Path, *, resume: bool, start_from: Path | None = None):
        """``start_from``: a finished run of the same configuration, whose vocabulary and weights are taken over."""
        self.task, self.folder = task, folder
        self.config = task.config.train
        AcceleratorState._reset_state()  # a comparison trains several runs in a row, which may differ in precision
        self.accelerator = Accelerator(mixed_precision=self.config.precision)
        if self.config.precision != "no" and self.accelerator.device.type == "cpu":
            raise UsageError(
                f"--train.precision {self.config.precision} needs a GPU; on a CPU set --train.precision no"
            )
        self.rank, self.world = self.accelerator.process_index, self.accelerator.num_processes
        self.last = folder / "last" / "training.safetensors"
        self.examples, self.validation = task.load("train"), task.load("validation")
        resumed = resume and self.last.is_file()
        if self.accelerator.is_main_process and not resumed:
            if start_from is None:
                task.fit(self.examples)
            else:
                task.load_state_dict(checkpoint.read_json(start_from / "vocabulary.json"))
            checkpoint.write_json(folder / "vocabulary.json", task.state_dict())
        self.accelerator.wait_for_everyone()
        task.load_state_dict(checkpoint.read_json(folder / "vocabulary.json"))
        torch.manual_seed(self.config.seed)
        self.model = task.build_model()
        init_weights(self.model, self.config.init)
        if start_from is not None and not resumed:
            origin = start_from / "best.safetensors"
            checkpoint.load_weights(self.model, checkpoint.read_weights(origin), origin)
        if pretrained(self.model) and not self.config.encoder_lr:
            frontend = cast(Any, self.model.encoder).frontend.to(self.accelerator.device)
            self.examples, self.validation = (encode(task, frontend, part) for part in (self.examples, self.validation))
        batch = task.config.batch
        self.batches = BatchSampler(task.lengths(self.examples), batch, self.config.seed, limited=True)
        if len(self.batches.rows) == 0:
            raise UsageError(
                f"all {len(self.examples)} training examples are longer than --batch.max-source-length or --batch.max-target-length"
            )
        optimizer = build_optimizer(self.model, self.config)
        self.progress = Progress()
        if resumed:
            self.progress = Progress(**checkpoint.load_training(self.last, self.model, optimizer))
            self.progress.loss *= self.rank == 0  # saved for all processes together
        self.parallel, self.optimizer = self.accelerator.prepare(self.objective(), optimizer)
        if self.accelerator.scaler is not None and self.progress.scaler:
            self.accelerator.scaler.load_state_dict(self.progress.scaler)
        self.validation_lengths = task.lengths(self.validation)
        self.validation_batches = BatchSampler(self.validation_lengths, batch, seed=0).by_length()
        main = self.accelerator.is_main_process
        self.log = checkpoint.MetricsLog(folder / "metrics.jsonl", self.progress.lines) if main else None
        self.board = TensorBoardLogger(folder / "tensorboard", self.config.tensorboard and main)
        higher = task.selection_metric.higher_is_better
        self.held = checkpoint.BestCheckpoints(folder / "checkpoints", self.progress.kept, self.config.average, higher)
        if start_from is not None and not resumed:
            self.save()  # from here on a resumed run needs no other

    def objective(self) -> nn.Module:
        """What is trained: a module that makes a loss of a batch."""
        if self.config.objective == "likelihood":
            return self.model
        try:
            config, references = self.task.config, self.examples["references"]
            return SelfCritical(self.model, self.task.tokenizer, references, config.search, self.config.draws)
        except ValueError as error:
            raise UsageError(str(error)) from error

    def run(self) -> None:
        if self.is_over() and not self.held.kept:
            return self.say(f"{self.folder} is finished; there is nothing to resume")
        self.say(
            f"{self.folder}: {count_parameters(self.model):,} parameters, {len(self.examples):,} training examples, "
            + (
                f"{self.batches.num_skipped:,} longer than batch.max-frames or max-length left out, "
                if self.batches.num_skipped
                else ""
            )
            + f"a vocabulary of {len(self.task.tokenizer):,}, on {self.world} x {self.accelerator.device.type}"
        )
        before = self.progress.seconds
        started = time.monotonic()
        with StopSignal() as stop:
            while not self.is_over():
                number = 0
                for _ in self.updates():
                    self.progress.seconds = self.broadcast_main(before + time.monotonic() - started)
                    number = int(max(self.gather(stop.received)))  # so that all processes halt at the same update
                    if number or self.is_over() or self.is_due(self.config.evaluate_every):
                        break
                    if self.is_due(self.config.save_every):
                        self.save()
                complete = self.progress.position >= self.num_batches
                if complete:
                    self.progress.epoch, self.progress.position = self.progress.epoch + 1, 0
                if complete or self.is_over() or self.is_due(self.config.evaluate_every):
                    self.evaluate()
                    self.progress.seconds = self.broadcast_main(before + time.monotonic() - started)
                    self.progress.evaluated = self.progress.seconds
                self.save()
                if number and not self.is_over():
                    self.say(f"stopped after update {self.progress.update:,}; go on with --resume")
                    raise SystemExit(128 + number)
        self.finish()

    def is_over(self) -> bool:
        """Whether epochs, time or patience are at their end."""
        progress, config = self.progress, self.config
        out_of_time = 0 < config.minutes * 60 <= progress.seconds
        return progress.epoch >= config.epochs or out_of_time or 0 < config.patience <= progress.evals_since_best

    def updates(self) -> Iterator[None]:
        """Take the updates that are left of this epoch, one each time the caller asks for the next."""
        size = self.config.accumulate * self.world  # batches an update, over all processes
        everything = self.batches.epoch(self.progress.epoch)
        todo = everything[self.progress.position :]
        groups = [todo[start : start + size] for start in range(0, len(todo), size)]
        self.num_batches = len(everything)
        planned = math.ceil(self.num_batches / size) * self.config.epochs
        # A process for which a last, short group has nothing takes part with a batch that does not count.
        shares = [group[self.rank :: self.world] or group[:1] for group in groups]
        loader = iter(
            DataLoader(
                BatchDataset(self.task, self.examples, [rows for share in shares for rows in share], self.config.seed),
                batch_size=None,
                num_workers=self.config.workers,
                worker_init_fn=init_worker,
            )
        )
        with ProgressBar(f"epoch {self.progress.epoch + 1}", len(groups), self.accelerator.is_main_process) as bar:
            for group, share in zip(groups, shares, strict=True):
                set_learning_rates(
                    self.model, self.optimizer, self.config, self.progress.update, planned, self.progress.num_lr_drops
                )
                self.update([next(loader) for _ in share], counts=self.rank < len(group))
                self.progress.update += 1
                self.progress.position += len(group)
                bar.advance()
                yield

    def update(self, batches: list[Batch], counts: bool) -> None:
        """One step of the optimiser, on the mean loss over all tokens of all processes' batches."""
        number = self.progress.update
        torch.manual_seed((self.config.seed * 1_000_003 + number) * self.world + self.rank)
        teacher_forcing = teacher_forcing_probability(self.config, number)
        tokens = int(self.total(sum(batch.target_tokens for batch in batches) * counts))
        batches = [batch.to(self.accelerator.device) for batch in batches]
        losses = torch.zeros((), device=self.accelerator.device)
        self.parallel.train()
        for batch in batches:
            last = batch is batches[-1]  # gradients are exchanged once, with the last batch
            with contextlib.nullcontext() if last else self.accelerator.no_sync(self.parallel):
                with self.accelerator.autocast():
                    loss = (
                        self.parallel(
                            batch, label_smoothing=self.config.label_smoothing, teacher_forcing=teacher_forcing
                        )
                        * counts
                    )
                # Processes' gradients are averaged; times their number, it is the gradient of a sum.
                self.accelerator.backward(loss * (self.world / tokens))
                losses += loss.detach()
        if self.config.clip:
            self.accelerator.clip_grad_norm_(self.parallel.parameters(), self.config.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.progress.tokens += tokens
        self.progress.loss += losses.item()
        if not math.isfinite(losses.item()):
            rows = sorted(row + 1 for batch in batches for row in batch.rows)
            raise UsageError(
                f"the loss became {losses.item()} on the training rows {', '.join(map(str, rows[:10]))}"
                f"{' ...' if len(rows) > 10 else ''}; look at them, lower --train.lr, or set --train.precision no"
            )

    def evaluate(self) -> None:
        """Score the validation split, keep what is among the best, and tell."""
        progress = self.progress
        progress.lines += 1
        record = {
            "update": progress.update,
            "epoch": round(progress.epoch + progress.position / self.num_batches, 2),
            "seconds": round(progress.seconds, 1),
            "lr": self.optimizer.param_groups[0]["lr"],
            "loss": self.total(progress.loss) / max(1, progress.tokens),
            "tokens_per_second": round(progress.tokens / max(1e-9, progress.seconds - progress.evaluated), 1),
            "validation": self.scores(),
        }
        progress.loss, progress.tokens = 0.0, 0
        selection_metric = self.task.selection_metric
        score = record["validation"][selection_metric.name]
        better = selection_metric.better(score, progress.best)
        progress.evals_since_best = 0 if better else progress.evals_since_best + 1
        if better:
            progress.best = score
        elif progress.evals_since_best % (self.config.plateau_patience + 1) == 0:
            progress.num_lr_drops += 1
        self.held.offer(score, progress.update)
        if self.accelerator.is_main_process:
            weights = checkpoint.weights_of(self.model)
            if better:
                checkpoint.save_weights(self.folder / "best.safetensors", weights)
            self.held.store(progress.update, weights)
        if self.log is not None:
            self.log.append(record)
        self.board.add(record, progress.update)
        scores = "  ".join(f"{name} {value:.2f}" for name, value in record["validation"].items())
        self.warn_of_attention(record["validation"].get("diagonality"))
        self.say(
            f"epoch {record['epoch']:g}  update {progress.update:,}  loss {record['loss']:.3f}  "
            f"{record['tokens_per_second']:,.0f} tokens/s  validation: {scores}{'  *' if better else ''}"
        )

    @torch.no_grad()
    def scores(self) -> dict[str, float]:
        """Loss and the quick metrics on the validation split, written greedily."""
        self.model.eval()
        loss, tokens, diagonals = 0.0, 0, []
        for rows in self.validation_batches[self.rank :: self.world]:
            batch = self.task.collate(self.validation, rows).to(self.accelerator.device)
            with self.accelerator.autocast():
                loss += float(self.model(batch))
                if self.task.expects_monotonic_alignment:
                    aligned = self.model.align(batch)
                    diagonals += [] if aligned is None else diagonality(*aligned[:2]).tolist()
            tokens += batch.target_tokens
        greedy = SearchConfig(beam=1, max_length=self.task.config.search.max_length)
        writer = Predictor(self.task, [self.model])
        hypotheses = decode(writer, self.validation, self.validation_lengths, greedy, self.rank, self.world)
        references = self.validation["references"]
        metrics = self.task.metrics_for(self.validation)
        scores = {metric.name: metric(hypotheses, references) for metric in metrics if metric.fast}
        count = self.total(len(diagonals))
        diagonal = {"diagonality": self.total(sum(diagonals)) / count} if count else {}
        return scores | {"loss": self.total(loss) / self.total(tokens)} | diagonal

    def warn_of_attention(self, diagonality: float | None) -> None:
        """Attention that has not found the order of a recording by now will hardly do so: the user should know."""
        if diagonality is not None and diagonality < DIAGONAL and self.progress.epoch >= self.config.diagonal_by:
            self.say(
                f"warning: attention is no diagonal yet (correlation of text and sound {diagonality:.2f}, wanted "
                f"{DIAGONAL}): try --decoder.ctc-weight 0.3, --attention.score location, or --attention.guidance-weight 1"
            )

    def finish(self) -> None:
        """Average the best checkpoints, and take the average if it is better still."""
        self.accelerator.wait_for_everyone()
        averaged = self.held.average()
        if averaged is not None:
            checkpoint.load_weights(self.model, averaged, self.held.folder)
            selection_metric = self.task.selection_metric
            score = self.scores()[selection_metric.name]
            better = selection_metric.better(score, self.progress.best)
            self.say(
                f"average of {len(self.held.kept)} checkpoints: validation {selection_metric.name} {score:.2f}, "
                f"the best of them {self.progress.best:.2f}; kept the {'average' if better else 'best'}"
            )
            if better and self.accelerator.is_main_process:
                checkpoint.save_weights(self.folder / "best.safetensors", averaged)
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            self.held.clear()
        self.say(f"finished after {self.progress.seconds / 60:.1f} minutes; the model is in {self.folder}")

    def save(self) -> None:
        total = self.total(self.progress.loss)
        self.progress.loss = total if self.rank == 0 else 0.0
        if self.accelerator.scaler is not None:
            self.progress.scaler = self.accelerator.scaler.state_dict()
        if self.accelerator.is_main_process:
            checkpoint.save_training(self.last, self.model, self.optimizer, asdict(self.progress))
            self.held.tidy()

    def gather(self, value: int | float) -> list[int | float]:
        """``value`` of each process."""
        if self.world == 1:
            return [value]
        kind = torch.float64 if isinstance(value, float) else torch.long
        own = torch.tensor([value], dtype=kind, device=self.accelerator.device)
        return cast(Tensor, self.accelerator.gather(own)).tolist()

    def total(self, value: int | float) -> int | float:
        return sum(self.gather(value))

    def broadcast_main(self, value: float) -> float:
        """The main process' ``value``: what all decide by must be the same for all, and clocks are not."""
        return self.gather(value)[0]

    def is_due(self, every: int) -> bool:
        return every > 0 and self.progress.update % every == 0

    def say(self, text: str) -> None:
        if self.accelerator.is_main_process:
            console.print(text)
