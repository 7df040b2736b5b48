"""The command ``evaluate``."""

import statistics
from pathlib import Path
from typing import Any

from tasks.common.cli.arguments import run_of_flag
from tasks.common.cli.evaluate_options import EvaluateOptions
from tasks.common.cli.models import load_predictors
from tasks.common.console import console
from tasks.common.hub.runs import reports_folder
from tasks.common.inference import evaluation
from tasks.common.inference.added_metrics import AddedMetrics
from tasks.common.inference.printed_report import print_report
from tasks.common.processes import Processes
from tasks.common.task_group import part_folder


def evaluate(task: str, run: Path, options: EvaluateOptions) -> None:
    """Run ``run.py TASK evaluate RUN [--flags]``."""
    changes = {"data": options.data, "skip_invalid": options.skip_invalid}
    baseline = run_of_flag("--baseline", options.baseline) if options.baseline else None
    models = (options.rerank, options.rerank_weight, options.ensemble)
    processes = Processes()
    predictors = load_predictors(task, run, *models, options.task, **changes)
    added = AddedMetrics.load(
        [predictor.task for predictor in predictors.values()],
        next(iter(predictors.values())).device,
        bert_score=options.bert_score,
        clip_score=options.clip_score,
        normalization=options.normalize,
    )
    if processes.count > 1:  # otherwise all of them draw the same samples
        processes.seed(1)
    reports: list[dict[str, Any]] = []
    for part, predictor in predictors.items():
        folder = part_folder(run, part)
        other = part_folder(baseline, part) if baseline else None
        reports.append(
            evaluation.evaluate(predictor, options.split, options.search, folder, other, options.data, added, processes)
        )
        if processes.is_main:
            show_report(part, reports[-1], folder)
    if len(reports) > 1 and processes.is_main:
        points = statistics.fmean(report["points"] for report in reports)
        print(f"mean score of the tasks {points:.2f} (0 to 100, of each its first metric)")
    processes.wait()  # all of them end as the main one does


def show_report(part: str, report: dict[str, Any], folder: Path) -> None:
    """Print the report of a part, and the names of its files."""
    if part:
        print(f"{part}:")
    print_report(report)
    name = report["hypotheses"].removesuffix(".txt")
    console.print(
        f"{reports_folder(folder) / 'evaluation'}: all examples in {name}.examples.csv, scores in {name}.json, the "
        f"plot by length in {name}.png; for other scorers {name}.txt, {name}.src and {name}.ref0"
    )
