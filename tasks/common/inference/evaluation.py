"""Evaluate a run on a split: scores overall and by length, confidence intervals, and a comparison with a baseline."""

import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import datasets
import torch

from decoders.config import SearchConfig
from tasks.common.analysis.plots import plot_by_length
from tasks.common.console import stage
from tasks.common.data.batching import BatchSampler
from tasks.common.files import save_atomically, save_json
from tasks.common.hub.runs import reports_folder, run_name
from tasks.common.inference.added_metrics import AddedMetrics
from tasks.common.inference.baseline import find_hypotheses, load_hypotheses
from tasks.common.inference.by_length import LengthAxis, score_by_length
from tasks.common.inference.domain import Domain, measure
from tasks.common.inference.examples import (
    cut,
    make_examples_csv,
    rank_sentences,
    score_sentences,
    select_examples,
)
from tasks.common.inference.predictor import Lengths, Predictor, generate_texts
from tasks.common.inference.report_name import full_place, name_report, name_settings
from tasks.common.inference.scorer_files import save_scorer_files
from tasks.common.metrics.base import compute_stats
from tasks.common.metrics.bootstrap import Bootstrap
from tasks.common.processes import Processes
from tasks.common.training.precision import resolve_precision


def evaluate(
    predictor: Predictor,
    split: str,
    config: SearchConfig,
    run: Path,
    baseline: Path | None = None,
    data: str | None = None,
    added: AddedMetrics | None = None,
    processes: Processes | None = None,
) -> dict[str, Any]:
    """Generate for a split and score it. NAME.json, .txt, .examples.csv and .png are saved in RUN/evaluation.

    So are the sources and references for other programs: see scorer_files.py. NAME is the split, followed by what is
    not the run's own: the data, the search, further models, the normalization of error rates.

    Args:
        predictor: The model or ensemble.
        split: train, validation or test.
        config: The search settings.
        run: The run folder; of a run that was downloaded, RUN is another one, see ``reports_folder``.
        baseline: Another run folder, evaluated on this split of these data, whose scores are compared by paired
            bootstrap.
        data: The data of the predictor's task, if they are not those of the run. Then the sources that are far from
            the run's training data are counted.
        added: Metrics to compute besides those of the task.
        processes: The processes that share the work (None: this one alone). The main one scores the sentences and saves
            the files.

    Returns:
        The report, as saved in NAME.json.
    """
    task, added, processes = predictor.task, added or AddedMetrics(), processes or Processes()
    folder, suffix = reports_folder(run) / "evaluation", name_settings(predictor, config) + added.suffix
    name = name_report(folder, split, data, suffix)
    other_file = None
    if baseline is not None:
        other_file = find_hypotheses(baseline, [suffix, ""], folder / f"{name}.txt", split, data)
    with stage(f"reading the {split} data"):
        examples = task.load(split)
    metrics = added.extend(task.metrics_for(examples), task, examples)
    lengths = task.example_lengths(examples)
    source_lengths = lengths[:, 0].tolist()
    # A real-time factor is that of the whole model; otherwise the frozen part has been computed in training.
    encoded = examples if task.report.frame_duration_s else predictor.precompute_if_frozen(examples)
    encoded_lengths = lengths if encoded is examples else task.example_lengths(encoded)
    processes.wait()
    started = time.monotonic()
    hypotheses = generate_texts(predictor, encoded, encoded_lengths, config, processes)
    seconds = time.monotonic() - started
    perplexity = compute_perplexity(predictor, encoded, encoded_lengths, processes) if task.report.perplexity else None
    unfamiliar = None if data is None else count_unfamiliar(predictor, encoded, encoded_lengths, run, processes)
    if not processes.is_main:
        return processes.from_main(dict)  # the report, once it is there
    references = [list(given) for given in examples["references"]]
    bootstrap = Bootstrap(len(examples))
    stats, intervals = [], {}
    for metric in metrics:
        metric.start()
    with stage("computing metrics and their intervals", len(metrics)) as advance:
        for metric, own in compute_stats(metrics, hypotheses, references):
            stats.append(own)
            intervals[metric.name] = bootstrap.interval(metric, own)
            advance(1)
    scored = list(zip(metrics, stats, strict=True))
    length_axis = LengthAxis.choose(task, source_lengths, references)
    scores = score_sentences(metrics, stats)
    sources = [task.describe_source(source) or f"example {row}" for row, source in enumerate(examples["source"], 1)]
    duration_s = sum(source_lengths) * (task.report.frame_duration_s or 0.0)
    report: dict[str, Any] = {
        "split": split,
        "data": task.config.data if data is None else full_place(data),
        "models": len(predictor.models),
        "processes": processes.count,
        "examples": len(examples),
        "metrics": {metric.name: metric.aggregate(own.sum(axis=0)) for metric, own in scored},
        "points": metrics[0].selection_metric.to_points(metrics[0].aggregate(stats[0].sum(axis=0))),
        "units": {metric.name: metric.unit for metric in metrics},
        "intervals": intervals,
        "signature": {metric.name: metric.signature(references) for metric in metrics},
        "perplexity": perplexity,
        "length_axis": length_axis.title,
        "by_length": score_by_length(*scored[0], length_axis),
        "baselines": {
            rule: {metric.name: metric(outputs, references) for metric in metrics if metric.fast}
            for rule, outputs in task.report.baselines(examples).items()
        },
        "diversity": task.report.diversity(hypotheses),
        "search": asdict(config) | {"precision": resolve_precision(config.precision, predictor.device)},
        "rerank_weight": predictor.reranker.weight if predictor.reranker is not None else None,
        "sentences_per_second": round(len(examples) / seconds, 1),
        "real_time_factor": seconds / duration_s if duration_s else None,
        "out_of_domain": unfamiliar,
        "normalization": None if added.normalization == "none" else added.normalization,
        "hypotheses": f"{name}.txt",
        "selected": [
            {
                "group": group,
                "example": row + 1,
                "score": scores[metrics[0].name][row],
                "source": cut(sources[row], task.truncation_side),
                "reference": cut(references[row][0]),
                "hypothesis": cut(hypotheses[row]),
            }
            for group, row in select_examples(rank_sentences(metrics, scores))
        ],
    }
    systems = {f"{run_name(run)}{suffix}": report["by_length"]}
    if baseline is not None and other_file is not None:
        outputs = load_hypotheses(other_file, len(examples))
        others = [other for _, other in compute_stats(metrics, outputs, references)]
        report["baseline"] = {"run": run_name(baseline), "hypotheses": str(other_file)} | {
            metric.name: bootstrap.compare(metric, own, other)
            for (metric, own), other in zip(scored, others, strict=True)
        }
        other_name = f"{run_name(baseline)}{suffix if other_file.stem.endswith(suffix) else ''}"
        systems[other_name] = score_by_length(metrics[0], others[0], length_axis)
    save_scorer_files(folder, name, sources, references, hypotheses)
    listing = task.report.listing(hypotheses, references)
    if listing:
        save_atomically(folder / f"{name}.listing.txt", listing)
    save_atomically(folder / f"{name}.examples.csv", make_examples_csv(sources, references, hypotheses, scores))
    plot_by_length(systems, length_axis.title, metrics[0].label, folder / f"{name}.png")
    save_json(folder / f"{name}.json", report)
    return processes.from_main(lambda: report)


@torch.inference_mode()
def compute_perplexity(
    predictor: Predictor, examples: datasets.Dataset, lengths: Lengths, processes: Processes
) -> float | None:
    """Compute the perplexity of the (first) references per token, ends of sentences included.

    Only models with the same vocabulary can be compared by it. None for decoders that are not label-synchronous.
    """
    if not all(model.decoder.is_label_synchronous for model in predictor.models):
        return None
    total, tokens = 0.0, 0
    batches = processes.share(BatchSampler(lengths, predictor.task.config.batch, seed=0).by_length())
    with stage("computing perplexity", sum(map(len, batches))) as advance:
        for rows in batches:
            batch = predictor.task.collate(examples, rows).to(predictor.device)
            decoder, memory = predictor.encode(batch.source)
            memory = memory if batch.source_index is None else memory.repeat(batch.source_index)
            total += float(decoder.log_likelihood(batch.tokens, memory).sum())
            tokens += batch.num_target_tokens
            advance(len(rows))
    return math.exp(-processes.sum(total) / processes.sum(tokens))


def count_unfamiliar(
    predictor: Predictor, examples: datasets.Dataset, lengths: Lengths, run: Path, processes: Processes
) -> int | None:
    """Count the sources that are far from the training data of a run; None if it has no statistics of them."""
    domain = Domain.load(run)
    if domain is None:
        return None
    rows = processes.share(range(len(examples)))
    measured = measure(predictor, examples.select(rows)["source"], lengths[rows, 0].tolist())
    return int(processes.sum(sum(domain.problem(each) is not None for each in measured)))
