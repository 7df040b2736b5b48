"""The command ``demo``: all four modalities of the toy world, with one table of metrics and a gallery of plots."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import tasks
from tasks.common.cli.demo_options import DemoOptions
from tasks.common.cli.demo_scene import Example, plot_examples, read_along
from tasks.common.cli.side_by_side import run_side_by_side
from tasks.common.cli.train import train_if_needed
from tasks.common.cli.variants import to_markdown
from tasks.common.console import console
from tasks.common.files import load_json_lines, save_atomically
from tasks.common.inference import evaluation
from tasks.common.inference.loading import load_parts, load_runs
from tasks.common.inference.predictor import Predictor
from tasks.common.task_group import part_folder
from tasks.toy_world.scenes import describe, sample_scenes

TOY_TASKS = ("translation", "speech_recognition", "image_captioning", "video_to_text")
# The first sentence soon, and the longest training early, so that the others share the second core.
ORDER = ("translation", "video_to_text", "speech_recognition", "image_captioning")
SUFFIXES = {b"\x89PNG": ".png", b"fLaC": ".flac"}  # of files, by their first bytes
NUM_EXAMPLES = 3  # of each task in the gallery; their scenes are the same in all tasks


def demo(options: DemoOptions) -> None:
    """Run ``run.py demo``."""
    folder = Path(options.run)
    if options.preset == "demo":
        models = (
            "one model for text, audio, image and video on scenes of moving digits: everything in fifteen minutes"
            if options.joint
            else "four models on scenes of moving digits, as many at once as there are cores: the first sentence after "
            "about a minute, everything in six to seven minutes on two cores"
        )
        console.print(f"Training {models}.")
    trained = run_joint(options.preset, folder) if options.joint else run_single_tasks(options.preset, folder)
    row_of: dict[str, dict[str, str]] = {}
    examples: dict[str, list[Example]] = {}
    for name, row, predictor in trained:
        row_of[name] = row
        examples[name] = plot_gallery(name, predictor, folder)
        show_example(name, examples[name][0], folder)
    rows = [row_of[name] for name in TOY_TASKS]
    save_atomically(folder / "demo.md", to_markdown(rows))
    # A scene of two objects has descriptions short enough for the plot.
    index, scene = next(
        (index, scene) for index, scene in enumerate(sample_scenes("test", NUM_EXAMPLES)) if len(scene.objects) == 2
    )
    path = folder / "gallery" / "one scene.png"
    plot_examples(describe(scene, "en")[0], *(examples[name][index] for name in TOY_TASKS), path=path)
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*row.values())
    Console().print(table)
    console.print(
        f"{folder}: demo.md, and gallery/ with the attention of each generated token; 'one scene.png' shows the same "
        "scene as text, audio, image and video"
    )


def show_example(name: str, example: Example, folder: Path) -> None:
    """Print what a trained model writes for its first test example, and where one sees what it attended to."""
    console.print(f"\n{name} is trained. Its first test example:")
    if name == "translation":
        console.print(f"  source      {example.source}")
    console.print(f"  output      {example.sentence}")
    console.print(f"  reference   {example.references[0]}")
    if name == "translation":
        console.print(f"  attention   {read_along(example)}")
    console.print(f"  plot        {folder / 'gallery' / f'{name}-1.png'}\n")


def run_single_tasks(preset: str, folder: Path) -> Iterator[tuple[str, dict[str, str], Predictor]]:
    """Train a model for each task; yield the name of each that is trained, its row in the table and its model."""
    for name, row in run_side_by_side(run_task, ORDER, preset, folder):
        yield name, row, load_runs(name, [folder / name])


def run_joint(preset: str, folder: Path) -> Iterator[tuple[str, dict[str, str], Predictor]]:
    """Train one model for all tasks; yield the name of each task, its row in the table and its model."""
    name = "joint"
    run = folder / name
    train_if_needed(name, tasks.package(name).PRESETS[preset](), run)
    for part, predictor in load_parts(name, [run]).items():
        report = evaluation.evaluate(predictor, "test", predictor.task.config.search, part_folder(run, part), None)
        yield part, make_row(part, report, run), predictor


def run_task(name: str, preset: str, folder: Path) -> dict[str, str]:
    """Train a task unless it is trained, and evaluate it on the test split.

    Args:
        name: The name of the task.
        preset: The name of the preset.
        folder: The folder of the demo, in which the run is ``name``.

    Returns:
        The row of the task in the table.
    """
    run = folder / name
    config = tasks.package(name).PRESETS[preset]()
    train_if_needed(name, config, run)
    return make_row(name, evaluation.evaluate(load_runs(name, [run]), "test", config.search, run, None), run)


def make_row(name: str, report: dict[str, Any], run: Path) -> dict[str, str]:
    """Make the row of a task in the table, of its report and of the run that has trained it."""
    training_s = load_json_lines(run / "metrics.jsonl")[-1]["seconds"]
    return {
        "task": name,
        "unseen test scenes": str(report["examples"]),
        "metrics": ", ".join(f"{metric} {value:.2f}" for metric, value in report["metrics"].items()),
        "training": f"{training_s / 60:.1f} min",
    }


def plot_gallery(name: str, predictor: Predictor, folder: Path) -> list[Example]:
    """Plot what a trained model attends to on its first test examples, save their files, and return the examples."""
    task = predictor.task
    examples = []
    first = task.load("test")[:NUM_EXAMPLES]
    inputs = [each.value for each in task.builtin_inputs(NUM_EXAMPLES)]
    rows = zip(inputs, first["source"], first["references"], strict=True)
    for number, (value, source, references) in enumerate(rows, start=1):
        hypothesis = predictor.generate([source], task.config.search)[0][0]
        weights = predictor.plot_alignment(source, hypothesis, folder / "gallery" / f"{name}-{number}.png")
        assert weights is not None, "the presets tiny and demo have attention, and generate one token or more"
        if isinstance(value, bytes):
            suffix = next((suffix for signature, suffix in SUFFIXES.items() if value.startswith(signature)), ".mp4")
            (folder / "gallery" / f"{name}-{number}-input{suffix}").write_bytes(value)
        examples.append(Example(task, source, references, hypothesis.tokens, weights))
    return examples
