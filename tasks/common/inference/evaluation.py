"""Evaluate a run on a split: scores overall and by length, confidence intervals, and a comparison with a baseline."""

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from rich.console import Console

from decoders.config import SearchConfig
from tasks.common.analysis.plots import plot_by_length
from tasks.common.console import stage
from tasks.common.data.batching import BatchSampler
from tasks.common.errors import UsageError
from tasks.common.files import save_atomically, save_json
from tasks.common.hub.runs import reports_folder, run_name
from tasks.common.inference.domain import Domain, measure
from tasks.common.inference.examples import (
    cut,
    make_examples_csv,
    rank_sentences,
    score_sentences,
    select_examples,
    show_examples,
)
from tasks.common.inference.predictor import Lengths, Predictor, generate_texts
from tasks.common.inference.report_name import name_data, name_settings
from tasks.common.metrics.base import Metric, SentenceStats
from tasks.common.metrics.bootstrap import Bootstrap
from tasks.common.task import Task

WIDTH_IN_FILES = 160  # characters of the table of examples where standard output is not a terminal
NUM_LENGTH_GROUPS = 6  # groups of about the same number of examples, from short sources to long ones


def evaluate(
    predictor: Predictor,
    split: str,
    config: SearchConfig,
    run: Path,
    baseline: Path | None = None,
    data: str | None = None,
) -> dict[str, Any]:
    """Generate for a split and score it. NAME.json, .txt, .examples.csv and .png are saved in RUN/evaluation.

    NAME is the split, followed by what is not the run's own: the data, the search, further models.

    Args:
        predictor: The model or ensemble.
        split: train, validation or test.
        config: The search settings.
        run: The run folder; of a run that was downloaded, RUN is another one, see ``reports_folder``.
        baseline: Another run folder, evaluated on this split of these data, whose scores are compared by paired
            bootstrap.
        data: The data of the predictor's task, if they are not those of the run. Then the sources that are far from
            the run's training data are counted.

    Returns:
        The report, as saved in NAME.json.
    """
    task = predictor.task
    folder, data_name = reports_folder(run) / "evaluation", name_data(split, data)
    name = data_name + name_settings(predictor, config)
    other_file = None
    if baseline is not None:
        other_file = find_hypotheses(baseline, [name, data_name], folder / f"{name}.txt", split, data)
    with stage(f"reading the {split} data"):
        examples = task.load(split)
    lengths = task.example_lengths(examples)
    source_lengths = [source for source, _ in lengths]
    # A real-time factor is that of the whole model; otherwise the frozen part has been computed in training.
    encoded = examples if task.report.frame_duration_s else predictor.precompute_if_frozen(examples)
    encoded_lengths = lengths if encoded is examples else task.example_lengths(encoded)
    started = time.monotonic()
    hypotheses = generate_texts(predictor, encoded, encoded_lengths, config)
    seconds = time.monotonic() - started
    references = [list(given) for given in examples["references"]]
    metrics = task.metrics_for(examples)
    bootstrap = Bootstrap(len(examples))
    stats, intervals = [], {}
    with stage("computing metrics and their intervals", len(metrics)) as advance:
        for metric in metrics:
            stats.append(metric.sufficient_stats(hypotheses, references))
            intervals[metric.name] = bootstrap.interval(metric, stats[-1])
            advance(1)
    scored = list(zip(metrics, stats, strict=True))
    length_axis = LengthAxis.choose(task, source_lengths, references)
    scores = score_sentences(metrics, stats)
    sources = [task.describe_source(source) for source in examples["source"]]
    duration_s = sum(source_lengths) * (task.report.frame_duration_s or 0.0)
    report: dict[str, Any] = {
        "split": split,
        "data": task.config.data,
        "models": len(predictor.models),
        "examples": len(examples),
        "metrics": {metric.name: metric.aggregate(own.sum(axis=0)) for metric, own in scored},
        "points": metrics[0].selection_metric.to_points(metrics[0].aggregate(stats[0].sum(axis=0))),
        "units": {metric.name: metric.unit for metric in metrics},
        "intervals": intervals,
        "signature": {metric.name: metric.signature(references) for metric in metrics},
        "perplexity": compute_perplexity(predictor, encoded, encoded_lengths) if task.report.perplexity else None,
        "length_axis": length_axis.title,
        "by_length": score_by_length(*scored[0], length_axis),
        "baselines": {
            rule: {metric.name: metric(outputs, references) for metric in metrics if metric.fast}
            for rule, outputs in task.report.baselines(examples).items()
        },
        "diversity": task.report.diversity(hypotheses),
        "search": asdict(config),
        "rerank_weight": predictor.reranker.weight if predictor.reranker is not None else None,
        "sentences_per_second": round(len(examples) / seconds, 1),
        "real_time_factor": seconds / duration_s if duration_s else None,
        "out_of_domain": count_unfamiliar(predictor, encoded, encoded_lengths, run) if data is not None else None,
        "hypotheses": f"{name}.txt",
        "selected": [
            {
                "group": group,
                "example": row + 1,
                "score": scores[metrics[0].name][row],
                "source": cut(sources[row] or f"example {row + 1}", task.truncation_side),
                "reference": cut(references[row][0]),
                "hypothesis": cut(hypotheses[row]),
            }
            for group, row in select_examples(rank_sentences(metrics, scores))
        ],
    }
    systems = {f"{run_name(run)}{name.removeprefix(data_name)}": report["by_length"]}
    if baseline is not None and other_file is not None:
        outputs = load_hypotheses(other_file, len(examples))
        others = [metric.sufficient_stats(outputs, references) for metric in metrics]
        report["baseline"] = {"run": run_name(baseline), "hypotheses": str(other_file)} | {
            metric.name: bootstrap.compare(metric, own, other)
            for (metric, own), other in zip(scored, others, strict=True)
        }
        other_name = f"{run_name(baseline)}{other_file.stem.removeprefix(data_name)}"
        systems[other_name] = score_by_length(metrics[0], others[0], length_axis)
    save_atomically(folder / f"{name}.txt", "".join(f"{text}\n" for text in hypotheses))
    listing = task.report.listing(hypotheses, references)
    if listing:
        save_atomically(folder / f"{name}.listing.txt", listing)
    save_atomically(folder / f"{name}.examples.csv", make_examples_csv(sources, references, hypotheses, scores))
    plot_by_length(systems, length_axis.title, metrics[0].label, folder / f"{name}.png")
    save_json(folder / f"{name}.json", report)
    return report


@torch.inference_mode()
def compute_perplexity(predictor: Predictor, examples: datasets.Dataset, lengths: Lengths) -> float | None:
    """Compute the perplexity of the (first) references per token, ends of sentences included.

    Only models with the same vocabulary can be compared by it. None for decoders that are not label-synchronous.
    """
    total, tokens = 0.0, 0
    with stage("computing perplexity", len(lengths)) as advance:
        for rows in BatchSampler(lengths, predictor.task.config.batch, seed=0).by_length():
            batch = predictor.task.collate(examples, rows).to(predictor.device)
            decoder, memory = predictor.encode(batch.source)
            if not decoder.is_label_synchronous:
                return None
            memory = memory if batch.source_index is None else memory.repeat(batch.source_index)
            total += float(decoder.log_likelihood(batch.tokens, memory).sum())
            tokens += batch.num_target_tokens
            advance(len(rows))
    return math.exp(-total / tokens)


@dataclass(frozen=True)
class LengthAxis:
    """The lengths that a table by length is ordered by.

    Attributes:
        title: The quantity with its unit, as "source length (tokens)".
        lengths: The length of each example.
        step: The unit of the title that one unit of ``lengths`` is, if that is not 1: a frame's seconds.
    """

    title: str
    lengths: Sequence[int]
    step: float = 1.0

    @classmethod
    def choose(cls, task: Task, source_lengths: Sequence[int], references: Sequence[Sequence[str]]) -> "LengthAxis":
        """Choose the lengths of the sources, or where all are equal, as those of images, of the first references."""
        if len(set(source_lengths)) <= 1:
            return cls("reference length (words)", [len(given[0].split()) for given in references])
        if task.report.frame_duration_s:
            return cls("source length (seconds)", source_lengths, task.report.frame_duration_s)
        return cls(f"source length ({task.source_unit})", source_lengths)

    def describe(self, lower: int, upper: int) -> str:
        """Describe a range of lengths."""
        form = "d" if self.step == 1.0 else ".2f"
        ends = [format(end if self.step == 1.0 else end * self.step, form) for end in (lower, upper)]
        return "-".join(dict.fromkeys(ends))


def score_by_length(metric: Metric, stats: SentenceStats, axis: LengthAxis) -> list[dict[str, Any]]:
    """Score groups of examples of similar length, from short to long."""
    lengths = axis.lengths
    quantiles = np.quantile(lengths, np.linspace(0, 1, NUM_LENGTH_GROUPS + 1)[1:])
    uppers = np.unique(quantiles.round().astype(int)).tolist()
    lowers = [min(lengths), *(upper + 1 for upper in uppers[:-1])]
    groups = []
    for lower, upper in zip(lowers, uppers, strict=True):
        rows = [row for row, length in enumerate(lengths) if lower <= length <= upper]
        if rows:
            score = metric.aggregate(stats[rows].sum(axis=0))
            groups.append({"length": axis.describe(lower, upper), "examples": len(rows), "score": score})
    return groups


def count_unfamiliar(predictor: Predictor, examples: datasets.Dataset, lengths: Lengths, run: Path) -> int | None:
    """Count the sources that are far from the training data of a run; None if it has no statistics of them."""
    domain = Domain.load(run)
    if domain is None:
        return None
    measured = measure(predictor, examples["source"], [source for source, _ in lengths])
    return sum(domain.problem(each) is not None for each in measured)


def find_hypotheses(run: Path, names: Sequence[str], own: Path, split: str, data: str | None) -> Path:
    """Find the hypotheses of another run for the same split of the same data.

    Args:
        run: Its folder. What was evaluated here comes before what was published with the run.
        names: Names that the file may have, the first that is there is taken: with the same settings, with its own.
        own: The file that this evaluation will write, which may be in the same folder.
        split: train, validation or test.
        data: The data, if they are not those of this run.

    Raises:
        UsageError: if there is none.
    """
    folders = [each / "evaluation" for each in (reports_folder(run), run)]
    allowed = [folder / f"{name}.txt" for name in names for folder in folders]
    found = [file for file in allowed if file.is_file() and file.resolve() != own.resolve()]
    if not found:
        where = split if data is None else f"{split} with --data {data}"
        raise UsageError(f"{folders[0] / names[-1]}.txt is missing: evaluate that run on {where} first")
    return found[0]


def load_hypotheses(file: Path, count: int) -> list[str]:
    """Load the hypotheses of another run, one a line. Raises UsageError if they are not ``count``."""
    lines = file.read_text(encoding="utf-8").split("\n")[:-1]
    if len(lines) != count:
        raise UsageError(f"{file} has {len(lines)} hypotheses for {count} examples: evaluate that run on the same data")
    return lines


def print_report(report: dict[str, Any]) -> None:
    """Print the scores with their units, intervals and signatures, and the selected examples."""
    print(f"{report['split']}: {report['examples']} examples, beam {report['search']['beam']}")
    for name, value in report["metrics"].items():
        low, high = report["intervals"][name]
        unit = report["units"][name]
        line = f"{name:16} {value:7.2f} {unit:1}  95 % interval {low:.2f} to {high:.2f}  {report['signature'][name]}"
        if "baseline" in report:
            other = report["baseline"][name]
            line += f"  {other['difference']:+.2f} against {report['baseline']['run']}, p = {other['p']:.3f}"
        print(line.rstrip())
    if "baseline" in report:
        print(f"baseline: {report['baseline']['hypotheses']}")
    for rule, values in report["baselines"].items():
        print(f"{rule}: " + ", ".join(f"{name} {value:.2f}" for name, value in values.items()))
    if report["perplexity"] is not None:
        print(f"{'perplexity':16} {report['perplexity']:7.2f}    per token of the references")
    for name, value in report["diversity"].items():
        print(f"{name:16} {value:7.2f}")
    if report["out_of_domain"] is not None:
        print(f"far from what the model was trained on: {report['out_of_domain']} of {report['examples']} sources")
    if report["real_time_factor"] is not None:
        print(f"real-time factor {report['real_time_factor']:.4f} seconds for a second of input")
    metric = next(iter(report["metrics"]))
    print(f"{metric} by {report['length_axis']}")
    for group in report["by_length"]:
        print(f"  {group['length']:>11}   {group['examples']:6} examples   {group['score']:7.2f}")
    print(f"examples by their own {metric}")
    output = Console(width=None if Console().is_terminal else WIDTH_IN_FILES)
    output.print(show_examples(report["selected"], metric))
