"""Every task on the embedded world: train, evaluate on unseen scenes, and show one table and a gallery."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

import tasks
from tasks import checkpoint, evaluation
from tasks.command_line import parse
from tasks.commands import obtain, open_runs
from tasks.comparison import markdown
from tasks.errors import unknown
from tasks.progress import console

PICTURES = 3  # of each task in the gallery


@dataclass(frozen=True)
class DemoOptions:
    """Train and evaluate every task on the embedded world. Nothing is downloaded."""

    preset: str = "demo"
    """demo (minutes) or tiny (seconds, to see that all works)."""
    run: str = "runs/demo"
    """Folder for the runs, demo.md and the gallery."""


def demo(names: list[str], flags: list[str]) -> None:
    options = parse(DemoOptions, flags, "run.py demo", DemoOptions())
    if options.preset not in ("demo", "tiny"):
        raise unknown("preset", options.preset, ("demo", "tiny"))
    folder = Path(options.run)
    rows = [show(task, options.preset, folder) for task in names]
    checkpoint.write(folder / "demo.md", markdown(rows))
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*row.values())
    Console().print(table)
    console.print(f"{folder}: demo.md, and gallery/ with pictures of what was looked at for each word")


def show(task: str, preset: str, folder: Path) -> dict[str, str]:
    """Train (or find trained), evaluate on test and draw some examples; returns the task's row of the table."""
    run = folder / task
    config = tasks.package(task).PRESETS[preset]()
    obtain(task, config, run)
    writer = open_runs(task, [run])
    report = evaluation.evaluate(writer, "test", config.search, run, None)
    sources = writer.task.load("test").select(range(PICTURES))["source"]
    for number, source in enumerate(sources, start=1):
        best = writer.write([source], config.search)[0][0]
        weights = writer.look(source, best)
        if weights is not None:
            writer.task.render(source, best.tokens, weights, folder / "gallery" / f"{task}-{number}.png")
    seconds = checkpoint.read_lines(run / "metrics.jsonl")[-1]["seconds"]
    return {
        "task": task,
        "unseen test scenes": str(report["examples"]),
        "scores": ", ".join(f"{name} {value:.2f}" for name, value in report["metrics"].items()),
        "training": f"{seconds / 60:.1f} min",
    }
