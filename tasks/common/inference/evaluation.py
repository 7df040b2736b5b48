"""Evaluate a run on a split: scores overall and by length, confidence intervals, and a comparison with a baseline."""

import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch

from decoders.config import SearchConfig
from tasks.common.analysis.plots import plot_by_length
from tasks.common.data.batching import BatchSampler
from tasks.common.errors import UsageError
from tasks.common.files import save_atomically, save_json
from tasks.common.inference.predictor import Lengths, Predictor, generate_texts
from tasks.common.metrics.base import Metric, SentenceStats
from tasks.common.metrics.bootstrap import Bootstrap

NUM_LENGTH_GROUPS = 6  # groups of about the same number of examples, from short sources to long ones


def evaluate(
    predictor: Predictor, split: str, config: SearchConfig, run: Path, baseline: Path | None = None
) -> dict[str, Any]:
    """Generate for a split and score it. SPLIT.json, SPLIT.txt and SPLIT.png are saved in ``run``/evaluation.

    Args:
        predictor: The model or ensemble.
        split: train, validation or test.
        config: The search settings.
        run: The run folder.
        baseline: Another run folder, evaluated on this split, whose scores are compared by paired bootstrap.

    Returns:
        The report, as saved in SPLIT.json.
    """
    task = predictor.task
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
    stats = [metric.sufficient_stats(hypotheses, references) for metric in metrics]
    scored = list(zip(metrics, stats, strict=True))
    bootstrap = Bootstrap(len(examples))
    duration_s = sum(source_lengths) * (task.report.frame_duration_s or 0.0)
    report: dict[str, Any] = {
        "split": split,
        "data": task.config.data,
        "models": len(predictor.models),
        "examples": len(examples),
        "metrics": {metric.name: metric.aggregate(own.sum(axis=0)) for metric, own in scored},
        "intervals": {metric.name: bootstrap.interval(metric, own) for metric, own in scored},
        "signature": {metric.name: metric.signature(references) for metric in metrics},
        "perplexity": compute_perplexity(predictor, encoded, encoded_lengths) if task.report.perplexity else None,
        "by_length": score_by_length(*scored[0], source_lengths),
        "baselines": {
            rule: {metric.name: metric(outputs, references) for metric in metrics if metric.fast}
            for rule, outputs in task.report.baselines(examples).items()
        },
        "diversity": task.report.diversity(hypotheses),
        "search": asdict(config),
        "rerank_weight": predictor.reranker.weight if predictor.reranker is not None else None,
        "sentences_per_second": round(len(examples) / seconds, 1),
        "real_time_factor": seconds / duration_s if duration_s else None,
        "hypotheses": f"{split}.txt",
    }
    systems = {str(run): report["by_length"]}
    if baseline is not None:
        outputs = load_hypotheses(baseline / "evaluation", split, len(examples))
        others = [metric.sufficient_stats(outputs, references) for metric in metrics]
        report["baseline"] = {"run": str(baseline)} | {
            metric.name: bootstrap.compare(metric, own, other)
            for (metric, own), other in zip(scored, others, strict=True)
        }
        systems[str(baseline)] = score_by_length(task.metrics[0], others[0], source_lengths)
    folder = run / "evaluation"
    save_atomically(folder / f"{split}.txt", "".join(f"{text}\n" for text in hypotheses))
    listing = task.report.listing(hypotheses, references)
    if listing:
        save_atomically(folder / f"{split}.listing.txt", listing)
    plot_by_length(systems, task.metrics[0].name, folder / f"{split}.png")
    save_json(folder / f"{split}.json", report)
    return report


@torch.inference_mode()
def compute_perplexity(predictor: Predictor, examples: datasets.Dataset, lengths: Lengths) -> float | None:
    """Compute the perplexity of the (first) references per token, ends of sentences included.

    Only models with the same vocabulary can be compared by it. None for decoders that are not label-synchronous.
    """
    total, tokens = 0.0, 0
    for rows in BatchSampler(lengths, predictor.task.config.batch, seed=0).by_length():
        batch = predictor.task.collate(examples, rows).to(predictor.device)
        decoder, memory = predictor.encode(batch.source)
        if not decoder.is_label_synchronous:
            return None
        memory = memory if batch.source_index is None else memory.repeat(batch.source_index)
        total += float(decoder.log_likelihood(batch.tokens, memory).sum())
        tokens += batch.num_target_tokens
    return math.exp(-total / tokens)


def score_by_length(metric: Metric, stats: SentenceStats, lengths: Sequence[int]) -> list[dict[str, Any]]:
    """Score groups of sources of similar length, from short to long."""
    quantiles = np.quantile(lengths, np.linspace(0, 1, NUM_LENGTH_GROUPS + 1)[1:])
    uppers = np.unique(quantiles.round().astype(int)).tolist()
    lowers = [min(lengths), *(upper + 1 for upper in uppers[:-1])]
    groups = []
    for lower, upper in zip(lowers, uppers, strict=True):
        rows = [row for row, length in enumerate(lengths) if lower <= length <= upper]
        if rows:
            score = metric.aggregate(stats[rows].sum(axis=0))
            groups.append({"length": f"{lower}-{upper}", "examples": len(rows), "score": score})
    return groups


def load_hypotheses(folder: Path, split: str, count: int) -> list[str]:
    """Load the hypotheses of another run for the same split.

    Raises:
        UsageError: if they are missing, or not ``count``.
    """
    file = folder / f"{split}.txt"
    if not file.is_file():
        raise UsageError(f"{file} is missing: evaluate that run on {split} first")
    lines = file.read_text(encoding="utf-8").split("\n")[:-1]
    if len(lines) != count:
        raise UsageError(f"{file} has {len(lines)} hypotheses for {count} examples: evaluate that run on the same data")
    return lines


def print_report(report: dict[str, Any]) -> None:
    """Print the scores with their intervals and signatures."""
    print(f"{report['split']}: {report['examples']} examples, beam {report['search']['beam']}")
    for name, value in report["metrics"].items():
        low, high = report["intervals"][name]
        line = f"{name:16} {value:7.2f}  95 % interval {low:.2f} to {high:.2f}  {report['signature'][name]}"
        if "baseline" in report:
            other = report["baseline"][name]
            line += f"  {other['difference']:+.2f} against {report['baseline']['run']}, p = {other['p']:.3f}"
        print(line.rstrip())
    for rule, values in report["baselines"].items():
        print(f"{rule}: " + ", ".join(f"{name} {value:.2f}" for name, value in values.items()))
    if report["perplexity"] is not None:
        print(f"{'perplexity':16} {report['perplexity']:7.2f}")
    for name, value in report["diversity"].items():
        print(f"{name:16} {value:7.2f}")
    if report["real_time_factor"] is not None:
        print(f"real-time factor {report['real_time_factor']:.4f}")
    for group in report["by_length"]:
        print(f"  source length {group['length']:>9}   {group['examples']:6} examples   {group['score']:7.2f}")
