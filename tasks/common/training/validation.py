"""The validation split, on which a model is scored while it is trained."""

from collections.abc import Sequence

import datasets
import torch

from decoders.config import SearchConfig
from tasks.common.data.batching import BatchSampler
from tasks.common.inference.predictor import Predictor, generate_texts
from tasks.common.metrics.base import Metric
from tasks.common.model import Seq2Seq
from tasks.common.task import Task
from tasks.common.training.precision import autocast
from tasks.common.training.processes import Processes
from tasks.common.training.selection import Rank, is_above_chance, rank_evaluation

NLL_UNIT = "nats/token"


class Validation:
    """Scores of models on the validation split, which the processes share among them.

    Attributes:
        examples: The examples.
        lengths: The lengths of the source and of the longest target of each.
        batches: Their rows in batches of similar lengths.
        metrics: Those of the task's metrics that take little time.
    """

    def __init__(self, task: Task, examples: datasets.Dataset, metrics: Sequence[Metric], processes: Processes):
        self.task, self.examples, self.processes = task, examples, processes
        self.lengths = task.example_lengths(examples)
        sampler = BatchSampler(self.lengths, task.config.batch, seed=0, num_targets=task.num_targets(examples))
        self.batches = sampler.by_length()
        self.metrics = [metric for metric in metrics if metric.fast]

    def score(self, model: Seq2Seq) -> tuple[dict[str, float], Rank]:
        """Compute the fast metrics on the output of greedy search, the likelihood, and what attention does.

        Returns:
            The scores, and their rank among evaluations.
        """
        model.eval()
        greedy = SearchConfig(beam=1, max_length=self.task.config.search.max_length)
        rank, count = self.processes.rank, self.processes.count
        hypotheses = generate_texts(Predictor(self.task, [model]), self.examples, self.lengths, greedy, rank, count)
        references, selection = self.examples["references"], self.task.selection_metric
        scores, counts = {}, False
        for metric in self.metrics:
            stats = metric.sufficient_stats(hypotheses, references)
            scores[metric.name] = metric.aggregate(stats.sum(axis=0))
            if metric.name == selection.name:
                counts = is_above_chance(metric, stats, hypotheses, references)
        scores |= self.measure(model)
        return scores, rank_evaluation(scores, selection, counts)

    @torch.no_grad()
    def measure(self, model: Seq2Seq) -> dict[str, float]:
        """Compute the negative log-likelihood of the targets, and the means of the task's attention monitor."""
        monitor = self.task.attention_monitor
        nll, tokens = 0.0, 0
        measured: dict[str, list[float]] = {name: [] for name in monitor.units} if monitor is not None else {}
        for rows in self.batches[self.processes.rank :: self.processes.count]:
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

    def selected_by(self, rank: Rank) -> str:
        """Return the name of the score that a rank is made of."""
        return self.task.selection_metric.name if rank[0] else "nll"

    def describe_rank(self, rank: Rank) -> str:
        return self.describe({self.selected_by(rank): abs(rank[1])})
