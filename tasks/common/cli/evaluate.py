"""The command ``evaluate``."""

import statistics
from pathlib import Path

from tasks.common.cli.arguments import run_of_flag
from tasks.common.cli.evaluate_options import EvaluateOptions
from tasks.common.cli.models import load_predictors
from tasks.common.console import console
from tasks.common.hub.runs import reports_folder
from tasks.common.inference import evaluation
from tasks.common.inference.added_metrics import AddedMetrics
from tasks.common.inference.printed_report import print_report
from tasks.common.task_group import part_folder


def evaluate(task: str, run: Path, options: EvaluateOptions) -> None:
    """Run ``run.py TASK evaluate RUN [--flags]``."""
    changes = {"data": options.data, "skip_invalid": options.skip_invalid}
    baseline = run_of_flag("--baseline", options.baseline) if options.baseline else None
    models = (options.rerank, options.rerank_weight, options.ensemble)
    predictors = load_predictors(task, run, *models, options.task, **changes)
    added = AddedMetrics.load(
        [predictor.task for predictor in predictors.values()],
        next(iter(predictors.values())).device,
        bert_score=options.bert_score,
        clip_score=options.clip_score,
        normalization=options.normalize,
    )
    points: list[float] = []
    for part, predictor in predictors.items():
        folder = part_folder(run, part)
        other = part_folder(baseline, part) if baseline else None
        report = evaluation.evaluate(predictor, options.split, options.search, folder, other, options.data, added)
        if part:
            print(f"{part}:")
        print_report(report)
        name = report["hypotheses"].removesuffix(".txt")
        console.print(
            f"{reports_folder(folder) / 'evaluation'}: all examples in {name}.examples.csv, scores in {name}.json, the "
            f"plot by length in {name}.png; for other scorers {name}.txt, {name}.src and {name}.ref0"
        )
        points.append(report["points"])
    if len(points) > 1:
        print(f"mean score of the tasks {statistics.fmean(points):.2f} (0 to 100, of each its first metric)")
