"""Comparing choices fairly: the same data, budget and seeds for each value of what is varied, in one table."""

import csv
import dataclasses
import io
import itertools
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import tyro
from scipy import stats

import tasks
from tasks.common.analysis.measurements import SAMPLE, activation_bytes, alignment_measures
from tasks.common.analysis.plots import plot_by_length, plot_curves
from tasks.common.cli.arguments import parse
from tasks.common.cli.commands import choose_preset, train_if_needed
from tasks.common.config import Config
from tasks.common.console import console
from tasks.common.data.tables import SPLITS
from tasks.common.errors import UsageError, unknown_name
from tasks.common.inference import evaluation
from tasks.common.inference.loading import load_runs
from tasks.common.model import count_parameters
from tasks.common.training import checkpoints as checkpoint

C = TypeVar("C", bound=Config)


@dataclass(frozen=True)
class CompareOptions(Generic[C]):
    """Train, evaluate and compare variants of a preset. What is there already is reused, what was stopped goes on."""

    config: Annotated[C, tyro.conf.arg(name="")]
    vary: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """FLAG=VALUE,VALUE,... once or more; a group's name stands for its first flag: attention=dot,none."""
    seeds: str = "1"
    """One run for each of these: 1,2,3."""
    split: str = "validation"
    """What the table is computed on. Choose by validation; look at test once, at the end."""
    run: str | None = None
    """Folder for the runs and the table (default: runs/compare-TASK-PRESET)."""


def compare(task: str, arguments: list[str]) -> None:
    preset, flags, config = choose_preset(task, arguments)
    program = f"run.py {task} compare {preset}"
    kind = CompareOptions[tasks.package(task).Config]
    options = parse(kind, flags, program, CompareOptions(config))
    if not options.vary:
        raise UsageError("--vary is missing: name a flag and its values, as in --vary attention=dot,general")
    if options.split not in SPLITS:
        raise unknown_name("split", options.split, SPLITS)
    variants: dict[str, Config] = {}
    for choice in itertools.product(*map(values_of, options.vary)):
        varied = [*flags, *as_flags(choice, options.config)]
        variants[" ".join(choice)] = parse(kind, varied, program, CompareOptions(config)).config
    seeds = [int(seed) if seed.isdecimal() else _no_seed(seed) for seed in options.seeds.split(",")]
    folder = Path(options.run or f"runs/compare-{task}-{preset}")
    reports: dict[str, list[dict[str, Any]]] = {}
    for name, variant in variants.items():
        first = next(iter(reports.values()), [None] * len(seeds))  # what all others are tested against
        reports[name] = [
            run_variant(task, variant, seed, folder / f"{name.replace(' ', '+')}-seed{seed}", options.split, base)
            for seed, base in zip(seeds, first, strict=True)
        ]
    judge = tasks.package(task).Task(options.config)
    metric, second, *_ = (metric.name for metric in judge.metrics)
    rows = table(reports, metric, second)
    checkpoint.write(folder / "compare.md", markdown(rows))
    checkpoint.write(folder / "compare.csv", comma_separated(rows))
    plot_by_length({name: of[0]["by_length"] for name, of in reports.items()}, metric, folder / "by_length.png")
    curves = {name: of[0]["curve"] for name, of in reports.items()}
    plot_curves(curves, f"validation {judge.selection_metric.name}", folder / "curves.png")
    print(markdown(rows), end="")
    console.print(f"{folder}: compare.md, compare.csv, by_length.png, curves.png")


def values_of(vary: str) -> list[str]:
    """``a=x,y`` as ``["a=x", "a=y"]``."""
    flag, equals, values = vary.partition("=")
    if not equals or "=" in values or not all(values.split(",")):
        raise UsageError(f"--vary {vary}: a flag, an equals sign and values with commas between are expected")
    return [f"{flag}={value}" for value in values.split(",")]


def as_flags(choice: tuple[str, ...], config: Config) -> list[str]:
    """The flags that ``choice`` stands for. A group, like attention, stands for its first flag."""
    flags = []
    for setting in choice:
        path, value = setting.split("=")
        names = path.replace("-", "_").split(".")
        inside: Any = config
        for name in names:
            fields = [field.name for field in dataclasses.fields(inside)] if dataclasses.is_dataclass(inside) else []
            if name not in fields:
                raise unknown_name("flag", path, fields)
            inside = getattr(inside, name)
        if dataclasses.is_dataclass(inside):
            names.append(dataclasses.fields(inside)[0].name)
            inside = getattr(inside, names[-1])
        *group, last = (name.replace("_", "-") for name in names)
        if isinstance(inside, bool):
            if value not in ("true", "false"):
                raise UsageError(f"{setting}: allowed are true and false")
            flags.append("--" + ".".join([*group, last if value == "true" else f"no-{last}"]))
        else:
            flags += ["--" + ".".join([*group, last]), value]
    return flags


def run_variant(
    task: str, config: Config, seed: int, folder: Path, split: str, base: dict[str, Any] | None
) -> dict[str, Any]:
    """Train the run unless it is there, evaluate it, and return its report with what training cost."""
    config = dataclasses.replace(config, train=dataclasses.replace(config.train, seed=seed))
    train_if_needed(task, config, folder)
    writer = load_runs(task, [folder])
    report = evaluation.evaluate(writer, split, config.search, folder, base["folder"] if base else None)
    curve = checkpoint.read_lines(folder / "metrics.jsonl")
    selection_metric = writer.task.selection_metric.name
    examples = writer.task.load(split)
    looks = alignment_measures(writer, examples)
    return report | {
        "folder": folder,
        "megabytes": activation_bytes(writer.task, writer.models[0], examples) / 1e6,
        **{name: looks.get(name) for name in ("entropy", "coverage", "diagonality")},
        "parameters": count_parameters(writer.models[0]),
        "curve": [(line["update"], line["validation"][selection_metric]) for line in curve],
        "minutes": curve[-1]["seconds"] / 60,
        "tokens_per_second": statistics.median(line["tokens_per_second"] for line in curve),
    }


def table(reports: dict[str, list[dict[str, Any]]], metric: str, second: str) -> list[dict[str, str]]:
    """A row a variant: the first metric with all that is known of it, and the second.

    The interval is over seeds where there are several (Student's t), else over the sentences.
    """
    rows = []
    for name, runs in reports.items():
        scores = [run["metrics"][metric] for run in runs]
        mean = statistics.fmean(scores)
        if len(scores) > 1:
            reach = stats.t.ppf(0.975, len(scores) - 1) * statistics.stdev(scores) / len(scores) ** 0.5
            low, high = mean - reach, mean + reach
        else:
            low, high = runs[0]["intervals"][metric]
        row = {"variant": name, metric: f"{mean:.2f}", "95 % interval": f"{low:.2f} to {high:.2f}"}
        tests = [run["against"][metric] for run in runs if "against" in run]
        difference = statistics.fmean(test["difference"] for test in tests) if tests else 0.0
        row["against the first"] = f"{difference:+.2f}, p {max(test['p'] for test in tests):.3f}" if tests else ""
        row[second] = f"{statistics.fmean(run['metrics'][second] for run in runs):.2f}"
        for title, key, form in (
            ("perplexity", "perplexity", "{:.2f}"),
            ("parameters", "parameters", "{:,.0f}"),
            ("minutes", "minutes", "{:.1f}"),
            ("training tokens/s", "tokens_per_second", "{:,.0f}"),
            ("decoded sentences/s", "sentences_per_second", "{:,.1f}"),
            ("real-time factor", "real_time_factor", "{:.4f}"),
            (f"MB kept of {SAMPLE} examples", "megabytes", "{:,.1f}"),
            ("entropy, bits", "entropy", "{:.2f}"),
            ("coverage", "coverage", "{:.2f}"),
            ("diagonality", "diagonality", "{:.2f}"),
        ):
            known = [run[key] for run in runs if run[key] is not None]
            row[title] = form.format(statistics.fmean(known)) if known else ""
        rows.append(row)
    return [{title: row[title] for title in row if any(other[title] for other in rows)} for row in rows]


def markdown(rows: list[dict[str, str]]) -> str:
    """Rows with the same titles as a Markdown table."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def comma_separated(rows: list[dict[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _no_seed(seed: str) -> int:
    raise UsageError(f"--seeds: {seed!r} is no whole number; allowed are whole numbers with commas between")
