"""The command ``compare``: variants with the same data, budget and seeds in one table."""

import dataclasses
import statistics
from pathlib import Path
from typing import Any

import tasks
from tasks.common.analysis.measurements import SAMPLE_SIZE, activation_bytes, measure_alignments
from tasks.common.analysis.plots import plot_by_length, plot_curves
from tasks.common.cli.compare_options import CompareOptions, parse_compare, parse_seed
from tasks.common.cli.preset_choice import Preset
from tasks.common.cli.train import train_if_needed
from tasks.common.cli.variants import (
    to_csv,
    to_markdown,
)
from tasks.common.config import ModelConfig
from tasks.common.console import console
from tasks.common.files import load_json_lines, save_atomically
from tasks.common.inference import evaluation
from tasks.common.inference.loading import load_parts
from tasks.common.inference.predictor import Predictor
from tasks.common.model import count_parameters
from tasks.common.task import Task
from tasks.common.task_group import as_group, part_folder

COLUMNS = (  # title, key of the report, format
    ("perplexity", "perplexity", "{:.2f}"),
    ("parameters", "parameters", "{:,.0f}"),
    ("minutes", "minutes", "{:.1f}"),
    ("training tokens/s", "tokens_per_second", "{:,.0f}"),
    ("decoded sentences/s", "sentences_per_second", "{:,.1f}"),
    ("real-time factor", "real_time_factor", "{:.4f}"),
    (f"MB of activations for {SAMPLE_SIZE} examples", "megabytes", "{:,.1f}"),
    ("entropy, bits", "entropy", "{:.2f}"),
    ("coverage", "coverage", "{:.2f}"),
    ("diagonality", "diagonality", "{:.2f}"),
)


def compare(task: str, preset: Preset, options: CompareOptions, variants: dict[str, ModelConfig]) -> None:
    """Run ``run.py TASK compare [PRESET] --vary SETTING=VALUE,VALUE``."""
    fitted = preset.fit(task, options.config)
    if fitted is not preset:
        options, variants = parse_compare(task, fitted)
    seeds = [parse_seed(seed) for seed in options.seeds.split(",")]
    folder = Path(options.run or f"runs/compare-{task}-{preset.name}")
    runs: dict[str, list[dict[str, dict[str, Any]]]] = {}  # of each variant, seed and part
    for name, variant_config in variants.items():
        baselines = next(iter(runs.values()), [None] * len(seeds))  # the runs of the first variant
        runs[name] = [
            run_variant(
                task, variant_config, seed, folder / f"{name.replace(' ', '+')}-seed{seed}", options.split, base
            )
            for seed, base in zip(seeds, baselines, strict=True)
        ]
    for name, part in as_group(tasks.task_class(task)(options.config)).parts.items():
        if name:
            print(f"{name}:")
        report_variants(part, {variant: [run[name] for run in own] for variant, own in runs.items()}, folder / name)


def report_variants(task: Task, reports: dict[str, list[dict[str, Any]]], folder: Path) -> None:
    """Print and save the table and the plots of a task; ``reports`` has those of each seed of each variant."""
    metric, second, *_ = (metric.name for metric in task.metrics)
    rows = make_table(reports, metric, second)
    save_atomically(folder / "compare.md", to_markdown(rows))
    save_atomically(folder / "compare.csv", to_csv(rows))
    by_length = {name: runs[0]["by_length"] for name, runs in reports.items()}
    length_axis = next(iter(reports.values()))[0]["length_axis"]
    plot_by_length(by_length, length_axis, task.metrics[0].label, folder / "by_length.png")
    curves = {name: runs[0]["curve"] for name, runs in reports.items()}
    plot_curves(curves, f"validation {task.selection_metric.name}", folder / "curves.png")
    print(to_markdown(rows), end="")
    console.print(f"{folder}: compare.md, compare.csv, by_length.png, curves.png")


def run_variant(
    task: str, config: ModelConfig, seed: int, folder: Path, split: str, baselines: dict[str, dict[str, Any]] | None
) -> dict[str, dict[str, Any]]:
    """Train a variant unless it is there, evaluate it, and return the report of each part with the costs of training.

    ``baselines``: the reports of the first variant with this seed.
    """
    config = dataclasses.replace(config, train=dataclasses.replace(config.train, seed=seed))
    train_if_needed(task, config, folder)
    return {
        name: report_part(predictor, split, folder, name, baselines[name]["folder"] if baselines else None)
        for name, predictor in load_parts(task, [folder]).items()
    }


def report_part(predictor: Predictor, split: str, run: Path, name: str, baseline: Path | None) -> dict[str, Any]:
    """Evaluate a part of a run, and return its report with the costs of training."""
    folder, search = part_folder(run, name), predictor.task.config.search
    report = evaluation.evaluate(predictor, split, search, folder, baseline)
    curve = load_json_lines(run / "metrics.jsonl")
    metric = predictor.task.selection_metric.name
    metric = f"{name} {metric}" if name else metric
    examples = predictor.precompute_if_frozen(predictor.task.load(split))
    alignments = measure_alignments(predictor, examples)
    return report | {
        "folder": folder,
        "megabytes": activation_bytes(predictor.task, predictor.models[0], examples) / 1e6,
        **{name: alignments.get(name) for name in ("entropy", "coverage", "diagonality")},
        "parameters": count_parameters(predictor.models[0]),
        "curve": [(line["step"], line["validation"][metric]) for line in curve],
        "minutes": curve[-1]["seconds"] / 60,
        "tokens_per_second": statistics.median(line["tokens_per_second"] for line in curve),
    }


def make_table(reports: dict[str, list[dict[str, Any]]], metric: str, second: str) -> list[dict[str, str]]:
    """Make one row for each variant: the first metric with interval and test, the second one, and the costs.

    For one seed, the interval is the 95 % interval over sentences; for several, the lowest and the highest score:
    a few seeds do not determine an interval, and that of Student's t reaches beyond 100 %.
    """
    rows = []
    for name, runs in reports.items():
        scores = [run["metrics"][metric] for run in runs]
        mean = statistics.fmean(scores)
        is_repeated = len(scores) > 1
        low, high = (min(scores), max(scores)) if is_repeated else runs[0]["intervals"][metric]
        spread = f"range of {len(scores)} seeds" if is_repeated else "95 % interval"
        row = {"variant": name, metric: f"{mean:.2f}", spread: f"{low:.2f} to {high:.2f}"}
        tests = [run["baseline"][metric] for run in runs if "baseline" in run]
        difference = statistics.fmean(test["difference"] for test in tests) if tests else 0.0
        row["against the first"] = f"{difference:+.2f}, p {max(test['p'] for test in tests):.3f}" if tests else ""
        row[second] = f"{statistics.fmean(run['metrics'][second] for run in runs):.2f}"
        for title, key, form in COLUMNS:
            values = [run[key] for run in runs if run[key] is not None]
            row[title] = form.format(statistics.fmean(values)) if values else ""
        rows.append(row)
    return [{title: row[title] for title in row if any(other[title] for other in rows)} for row in rows]
