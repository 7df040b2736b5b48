"""Every task on the embedded world: train, evaluate on unseen scenes, and show one table and a gallery."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

import tasks
from tasks.common.analysis.plots import plot_gallery
from tasks.common.cli.arguments import parse
from tasks.common.cli.commands import train_if_needed
from tasks.common.cli.compare import markdown
from tasks.common.console import console
from tasks.common.errors import unknown_name
from tasks.common.inference import evaluation
from tasks.common.inference.loading import load_runs
from tasks.common.training import checkpoints as checkpoint
from tasks.toy_world.scenes import sample_scenes

PICTURES = 3  # of each task in the gallery; their scenes are the same in all tasks
SENSES = {"translation": "read", "speech_recognition": "heard", "image_captioning": "seen", "video_to_text": "watched"}


@dataclass(frozen=True)
class DemoOptions:
    """Train and evaluate every task on the embedded world. Nothing is downloaded."""

    preset: str = "demo"
    """demo (minutes) or tiny (seconds, to see that all works)."""
    run: str = "runs/demo"
    """Folder for the runs, demo.md and the gallery."""


def demo(flags: list[str]) -> None:
    options = parse(DemoOptions, flags, "run.py demo", DemoOptions())
    if options.preset not in ("demo", "tiny"):
        raise unknown_name("preset", options.preset, ("demo", "tiny"))
    folder = Path(options.run)
    shown = {task: show(task, options.preset, folder) for task in SENSES}
    rows = [row for row, _ in shown.values()]
    checkpoint.write(folder / "demo.md", markdown(rows))
    chosen = next(place for place, scene in enumerate(sample_scenes("test", PICTURES)) if len(scene.objects) == 2)
    panels = [
        (f"{SENSES[task]}: {written[chosen]}", picture(folder, task, chosen)) for task, (_, written) in shown.items()
    ]
    plot_gallery(panels, folder / "gallery" / "one scene.png")
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*row.values())
    Console().print(table)
    console.print(
        f"{folder}: demo.md, and gallery/ with what was looked at for each word; 'one scene.png' shows the same scene "
        "read, heard, seen and watched"
    )


def picture(folder: Path, task: str, place: int) -> Path:
    return folder / "gallery" / f"{task}-{place + 1}.png"


def show(task: str, preset: str, folder: Path) -> tuple[dict[str, str], list[str]]:
    """Train (or find trained), evaluate on test and draw some examples.

    Returns the task's row of the table, and what it wrote for the examples.
    """
    run = folder / task
    config = tasks.package(task).PRESETS[preset]()
    train_if_needed(task, config, run)
    writer = load_runs(task, [run])
    report = evaluation.evaluate(writer, "test", config.search, run, None)
    written = []
    for place, source in enumerate(writer.task.load("test").select(range(PICTURES))["source"]):
        best = writer.write([source], config.search)[0][0]
        written.append(writer.task.tokenizer.decode(best.tokens))
        weights = writer.look(source, best)
        if weights is not None:
            writer.task.render(source, best.tokens, weights, picture(folder, task, place))
        writer.task.export(source, folder / "gallery" / f"{task}-{place + 1}-input")
    seconds = checkpoint.read_lines(run / "metrics.jsonl")[-1]["seconds"]
    row = {
        "task": task,
        "unseen test scenes": str(report["examples"]),
        "scores": ", ".join(f"{name} {value:.2f}" for name, value in report["metrics"].items()),
        "training": f"{seconds / 60:.1f} min",
    }
    return row, written
