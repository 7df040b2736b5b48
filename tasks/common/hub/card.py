"""The model card of a run: what it does, how to use it, its scores, and an example with its attention."""

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

import tasks
from encoders.pretrained.downloads import HubName
from tasks.common.errors import UsageError
from tasks.common.files import load_json, load_json_lines
from tasks.common.inference.examples import cut
from tasks.common.inference.predictor import Predictor
from tasks.common.inference.trained_model import TrainedModel
from tasks.common.model import count_parameters
from tasks.common.program import program
from tasks.common.task import Task
from tasks.common.task_group import part_folder

LIBRARY = "multimodal-seq2seq"
INPUTS = {"text": "a sentence", "audio": "speech.wav", "image": "photo.jpg", "video": "clip.mp4", "frames": "clip.mp4"}
PIPE = r"\|"  # in a cell of a table


@dataclass(frozen=True)
class CardExample:
    """A sentence that the model has generated from an example of its data.

    Attributes:
        source: The source: its text, or the name of its file.
        sentence: The sentence.
        reference: The first of its references.
        plot: The file with the plot of its alignment, relative to the card; None for a decoder without alignments.
    """

    source: str
    sentence: str
    reference: str
    plot: str | None


def make_card(
    repository: str,
    run: Path,
    model: TrainedModel,
    license: str | None,
    examples: Mapping[str, CardExample],
) -> ModelCard:
    """Make the model card of a run.

    Args:
        repository: OWNER/NAME, the place of the run on the hub.
        run: Its folder.
        model: The run as an object.
        license: The identifier of the weights' license, as "apache-2.0" (None: it is not given).
        examples: An example of each part that has one.
    """
    task_name = load_json(run / "config.json")["task"]
    parts = {name: predictor.task for name, predictor in model.predictors.items()}
    reports = {name: find_reports(part_folder(run, name), part) for name, part in parts.items()}
    data_names = {name: describe_data(part) for name, part in parts.items()}
    hub_data = map(HubName.parse, data_names.values())
    hub_tasks = {part.hub_task for part in parts.values()}
    results = [
        result
        for name, part in parts.items()
        for report in reports[name]
        for result in make_results(part, name or task_name, report)
    ]
    data = ModelCardData(
        license=license,
        library_name=LIBRARY,
        pipeline_tag=hub_tasks.pop() if len(hub_tasks) == 1 else None,
        tags=[LIBRARY, *dict.fromkeys([task_name, *parts]), "attention"] if "" not in parts else [LIBRARY, task_name],
        datasets=list(dict.fromkeys(each.repository for each in hub_data if each)) or None,
        metrics=list(dict.fromkeys(result.metric_type for result in results)) or None,
        model_name=repository.partition("/")[2],
        eval_results=results or None,
    )
    sections = [
        f"# {repository.partition('/')[2]}",
        describe_model(task_name, parts),
        "## Use",
        describe_use(repository, task_name, parts),
        "## Results",
        make_results_table(reports),
        "## Examples" if len(examples) > 1 else "## Example",
        *(show_example(name, example) for name, example in examples.items()),
        *(["No example: the data of the run were not at hand."] if not examples else []),
        "## Training",
        describe_training(run, model, data_names),
        "## License",
        f"The weights: `{license}`." if license else "No license of the weights was given.",
    ]
    text = "\n\n".join(sections)
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{text}\n", ignore_metadata_errors=False)


def find_reports(folder: Path, task: Task) -> list[dict[str, Any]]:
    """Load the evaluations of a part of a run that are of this model alone, with the run's own settings."""
    found = [load_json(file) for file in sorted((folder / "evaluation").glob("*.json"))]
    own = {"search": asdict(task.config.search), "models": 1, "rerank_weight": None, "normalization": None}
    return [report for report in found if all(report.get(key) == value for key, value in own.items())]


def make_results(task: Task, task_name: str, report: Mapping[str, Any]) -> list[EvalResult]:
    """Make the entries of the hub's model index, one for each metric of an evaluation."""
    data = describe_data(task, report["data"])
    name = HubName.parse(data)
    return [
        EvalResult(
            task_type=task.hub_task,
            task_name=task_name,
            dataset_type=name.repository if name else re.sub(r"\W+", "-", data),
            dataset_name=data,
            dataset_config=name.configuration if name else None,
            dataset_revision=name.revision if name else None,
            dataset_split=report["split"],
            metric_type=metric,
            metric_name=metric,
            metric_value=round(value, 4),
            metric_args={
                "signature": report["signature"][metric],
                "95 % interval": [round(bound, 4) for bound in report["intervals"][metric]],
                "examples": report["examples"],
            },
        )
        for metric, value in report["metrics"].items()
    ]


def describe_data(task: Task, data: str | None = None) -> str:
    """Name the data of a task: a hub id, the last part of a folder's path, or the built-in data."""
    data = task.config.data if data is None else data
    if data is None:
        return task.builtin_data
    return Path(data).resolve().name if Path(data).exists() else without_folder(data)


def without_folder(text: str) -> str:
    """Return the last part of an absolute path, and any other text, so that no path of this machine is published."""
    for kind in (PurePosixPath, PureWindowsPath):
        if kind(text).is_absolute():
            return kind(text).name
    return text


def describe_model(task_name: str, parts: Mapping[str, Task]) -> str:
    """Say what the model does."""
    if list(parts) == [""]:
        return f"A model to {tasks.TASKS[task_name]}, trained with {LIBRARY}."
    listed = "\n".join(f"* {name}: {tasks.TASKS[name]}" for name in parts)
    return f"One model for several tasks, with one decoder, trained with {LIBRARY}:\n\n{listed}"


def describe_use(repository: str, task_name: str, parts: Mapping[str, Task]) -> str:
    """Show the code and the commands that use the model; the part of a joint model is chosen by the input."""
    given = list(dict.fromkeys(INPUTS[part.input_kinds[0]] for part in parts.values()))
    calls = "\n".join(f'prediction = model("{each}")' for each in given)
    commands = "\n".join(f'{program()} {task_name} predict {repository} "{each}"' for each in given)
    code = f'from tasks import load\n\nmodel = load("{repository}")\n{calls}\nprint(prediction.text)'
    return (
        f"In a clone of {LIBRARY}, or where it is installed:\n\n```py\n{code}\n```\n\n```\n{commands}\n```\n\n"
        "The repository has weights in safetensors and settings in JSON, and no code."
    )


def make_results_table(reports: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Make a table of all scores, each with its interval and its signature."""
    rows = [
        (
            name,
            f"{report['split']} ({report['examples']:,} examples)",
            metric,
            f"{value:.2f}{report['units'][metric]}",
            " to ".join(f"{bound:.2f}" for bound in report["intervals"][metric]),
            f"`{report['signature'][metric]}`" if report["signature"][metric] else "",
        )
        for name, own in reports.items()
        for report in own
        for metric, value in report["metrics"].items()
    ]
    if not rows:
        return "It was not evaluated."
    columns = ("task", "split", "metric", "score", "95 % interval", "signature")
    table = [columns, ("---",) * len(columns), *rows]
    first = 0 if any(reports) else 1  # a single task has no name
    return "\n".join(f"| {' | '.join(cell.replace('|', PIPE) for cell in row[first:])} |" for row in table)


def show_example(name: str, example: CardExample) -> str:
    """Show an example: its source, the sentence, a reference, and the plot of its alignment."""
    texts = {"Source": example.source, "Sentence": example.sentence, "Reference": example.reference}
    lines = [f"* {label}: <code>{html.escape(cut(text))}</code>" for label, text in texts.items()]
    title = f"**{name}**\n\n" if name else ""
    plot = f"\n\n![attention]({example.plot})" if example.plot else ""
    return title + "\n".join(lines) + plot


def describe_training(run: Path, model: TrainedModel, data_names: Mapping[str, str]) -> str:
    """List the most important settings, and the length of the training; config.json has all settings."""
    predictor = next(iter(model.predictors.values()))
    config = predictor.task.config
    attention = config.attention.score if config.attention and config.decoder.uses_attention else "none"
    items = {f"data{f' of {name}' if name else ''}": data for name, data in data_names.items()}
    items |= {
        f"encoder{f' of {name}' if name else ''}": describe_encoder(each) for name, each in model.predictors.items()
    }
    items |= {"decoder": config.decoder.kind, "attention": attention, "seed": str(config.train.seed)}
    log = run / "metrics.jsonl"
    if log.is_file():
        last = load_json_lines(log)[-1]
        items["training"] = f"{last['step']:,} steps, {last['epoch']:g} epochs, {last['seconds'] / 60:.1f} minutes"
    return "\n".join(f"* {name}: {value}" for name, value in items.items()) + "\n\nAll settings are in `config.json`."


def describe_encoder(predictor: Predictor) -> str:
    """Name the pretrained encoder of a model, if it has one, and count the parameters."""
    pretrained = getattr(getattr(predictor.task.config, "encoder", None), "pretrained", None)
    count = f"{count_parameters(predictor.models[0].encoder):,} parameters"
    return f"{without_folder(pretrained)}, {count}" if pretrained else f"from scratch, {count}"


def make_example(predictor: Predictor, report: Mapping[str, Any] | None, folder: Path, plot: str) -> CardExample | None:
    """Generate the sentence of an example and plot its alignment.

    Args:
        predictor: The model.
        report: An evaluation, of whose examples one of the median is taken (None: the first of validation).
        folder: The folder in which the card will be.
        plot: The file of the plot in it.

    Returns:
        The example; None if the data of the run are not on this machine.
    """
    task = predictor.task
    split, row = ("validation", 0) if report is None else (report["split"], median_row(report))
    try:
        examples = task.load(split)
    except UsageError:
        return None
    example = examples[min(row, len(examples) - 1)]
    source, reference = example["source"], example["references"][0]
    description = task.describe_source(source) or f"example {row + 1} of {split}"
    ranked = predictor.generate([source], task.config.search)[0]
    if not ranked:
        return CardExample(description, "", reference, None)
    is_plotted = predictor.plot_alignment(source, ranked[0], folder / plot) is not None
    return CardExample(description, task.detokenize(ranked[0].tokens), reference, plot if is_plotted else None)


def median_row(report: Mapping[str, Any]) -> int:
    """Return the row of the first of the median examples of an evaluation, or of its first example if it has none."""
    selected = report["selected"]
    chosen = [each for each in selected if each["group"] == "median"] or selected
    return chosen[0]["example"] - 1
