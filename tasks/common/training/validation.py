"""Validation while training: the output of greedy search, the likelihood, and what attention does."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import datasets
import torch

from decoders.config import SearchConfig
from tasks.common.data.batching import BatchSampler
from tasks.common.errors import NotFiniteError
from tasks.common.inference.predictor import Predictor, generate_texts
from tasks.common.metrics.base import Metric, compute_stats
from tasks.common.model import Model, Seq2Seq
from tasks.common.task import Task
from tasks.common.task_group import ALONE, TaskGroup
from tasks.common.training.precision import autocast
from tasks.common.training.processes import TrainingProcesses
from tasks.common.training.selection import Rank, is_above_chance, rank_evaluation

NLL_UNIT = "nats/token"


class Validation:
    """Scores of models on the validation splits of all parts.

    Unless a task is alone, each name of a score begins with that of its part, and two are added: the mean of their
    negative log-likelihoods, and the mean of the scores that would select a checkpoint of theirs, each in points, which
    selects that of all.
    """

    def __init__(
        self,
        group: TaskGroup,
        examples: Mapping[str, datasets.Dataset],
        metrics: Mapping[str, Sequence[Metric]],
        processes: TrainingProcesses,
    ):
        """Keep the examples and the metrics of each part."""
        self.selection = group.selection_metric
        self.parts = {
            name: PartValidation(part, examples[name], metrics[name], processes) for name, part in group.parts.items()
        }

    def score(self, model: Model) -> tuple[dict[str, float], Rank]:
        """Score a model. Returns the scores, and their rank among evaluations; raises as ``PartValidation.score``."""
        model.eval()
        results = {name: part.score(model.part(name)) for name, part in self.parts.items()}
        if ALONE in results:
            scores, counts = results[ALONE]
            return scores, rank_evaluation(scores, self.selection, counts)
        points = [self.parts[name].points_of(scores) for name, (scores, _) in results.items()]
        means = {
            self.selection.name: statistics.fmean(points),
            "nll": statistics.fmean(scores["nll"] for scores, _ in results.values()),
        }
        named = {f"{name} {metric}": value for name, (own, _) in results.items() for metric, value in own.items()}
        return means | named, rank_evaluation(means, self.selection, all(counts for _, counts in results.values()))

    def scores_of(self, name: str, scores: dict[str, float]) -> dict[str, float]:
        """Return the scores of a part, as it has named them."""
        if name == ALONE:
            return scores
        return {
            metric.removeprefix(f"{name} "): value for metric, value in scores.items() if metric.startswith(f"{name} ")
        }

    def grouped(self, scores: dict[str, float]) -> dict[str, Any]:
        """Return scores with those of each part as a dictionary of its own, unless a task is alone."""
        if ALONE in self.parts:
            return scores
        parts = {name: self.scores_of(name, scores) for name in self.parts}
        named = {f"{name} {metric}" for name, own in parts.items() for metric in own}
        return {name: value for name, value in scores.items() if name not in named} | parts

    def warnings(self, scores: dict[str, float], epoch: int) -> list[str]:
        """Say what is unusual about the attention of a model after some epochs."""
        found: list[str] = []
        for name, part in self.parts.items():
            monitor = part.task.attention_monitor
            warning = None if monitor is None else monitor.warning(self.scores_of(name, scores), epoch)
            found += [f"{name}: {warning}" if name else warning] if warning else []
        return found

    def describe(self, scores: dict[str, float]) -> str:
        """Show scores with their names and units; of several parts those that select a checkpoint."""
        if ALONE in self.parts:
            return self.parts[ALONE].describe(scores)
        shown = [f"{self.selection.name} {scores[self.selection.name]:.2f}", f"nll {scores['nll']:.2f} {NLL_UNIT}"]
        for name, part in self.parts.items():
            own = self.scores_of(name, scores)
            shown.append(f"{name} {part.describe({part.selection.name: own[part.selection.name]})}")
        return "  ".join(shown)

    def selected_by(self, rank: Rank) -> str:
        """Return the name of the score that a rank is made of."""
        return self.selection.name if rank[0] else "nll"

    def describe_rank(self, rank: Rank) -> str:
        name, value = self.selected_by(rank), abs(rank[1])
        units = {"nll": NLL_UNIT} | {
            metric.name: metric.unit for part in self.parts.values() for metric in part.metrics
        }
        return f"{name} {value:.2f} {units.get(name, '')}".rstrip()


class PartValidation:
    """Scores of a task's models on its validation split, which the processes share among them.

    Attributes:
        examples: The examples.
        lengths: The lengths of the source and of the longest target of each.
        batches: Their rows in batches of similar lengths.
        metrics: Those of the task's metrics that take little time.
        selection: The score that selects a checkpoint.
    """

    def __init__(self, task: Task, examples: datasets.Dataset, metrics: Sequence[Metric], processes: TrainingProcesses):
        self.task, self.examples, self.processes = task, examples, processes
        self.lengths = task.example_lengths(examples)
        sampler = BatchSampler(self.lengths, task.config.batch, seed=0, num_targets=task.num_targets(examples))
        self.batches = sampler.by_length()
        self.metrics = [metric for metric in metrics if metric.fast]
        self.selection = task.selection_metric

    def points_of(self, scores: dict[str, float]) -> float:
        """Return the score that selects a checkpoint in points."""
        return self.selection.to_points(scores[self.selection.name])

    def score(self, model: Seq2Seq) -> tuple[dict[str, float], bool]:
        """Compute the fast metrics on the output of greedy search, the likelihood, and what attention does.

        Returns:
            The scores, and whether the output is above chance: see ``is_above_chance``.

        Raises:
            NotFiniteError: The likelihood is not finite, or no sentence can be generated.
        """
        measured = self.measure(model)
        if not math.isfinite(measured["nll"]):
            raise NotFiniteError("the log-likelihood")
        greedy = SearchConfig(beam=1, max_length=self.task.config.search.max_length)
        hypotheses = generate_texts(Predictor(self.task, [model]), self.examples, self.lengths, greedy, self.processes)
        references = self.examples["references"]
        scores, counts = {}, False
        for metric, stats in compute_stats(self.metrics, hypotheses, references):
            scores[metric.name] = metric.aggregate(stats.sum(axis=0))
            if metric.name == self.selection.name:
                counts = is_above_chance(metric, stats, hypotheses, references)
        return scores | measured, counts

    @torch.no_grad()
    def measure(self, model: Seq2Seq) -> dict[str, float]:
        """Compute the negative log-likelihood of the targets, and the means of the task's attention monitor."""
        monitor = self.task.attention_monitor
        nll, tokens = 0.0, 0
        measured: dict[str, list[float]] = {name: [] for name in monitor.units} if monitor is not None else {}
        for rows in self.processes.share(self.batches):
            batch = self.task.collate(self.examples, rows).to(self.processes.device)
            with autocast(self.task.config.train.precision, self.processes.device):
                nll += float(model(batch).nll)
                if monitor is not None:
                    for name, values in monitor.measure(model, batch).items():
                        measured[name].extend(values)
            tokens += batch.num_target_tokens
        means = {"nll": self.processes.sum(nll) / self.processes.sum(tokens)}
        for name, values in measured.items():
            count = self.processes.sum(len(values))
            if count:
                means[name] = self.processes.sum(sum(values)) / count
        return means

    def describe(self, scores: dict[str, float]) -> str:
        """Show scores with their names and units."""
        monitor = self.task.attention_monitor
        units = {"nll": NLL_UNIT} | {metric.name: metric.unit for metric in self.metrics}
        units |= monitor.units if monitor is not None else {}
        return "  ".join(f"{name} {value:.2f} {units[name]}".rstrip() for name, value in scores.items())
