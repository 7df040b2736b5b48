"""The log of the evaluations while training: a record, the learning curves, and a line on the console."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.common.analysis.plots import plot_learning_curves
from tasks.common.console import console
from tasks.common.files import load_json_lines, remove_temporary_files_of, save_atomically, to_json
from tasks.common.training.validation import NLL_UNIT, Validation

CURVES_FILE = Path("plots") / "learning_curves.png"  # in the run folder


def is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


class MetricsLog:
    """The file metrics.jsonl. A resumed run first removes the lines that were written after its state was saved.

    Attributes:
        num_lines: The lines that were left: fewer than the run had if the file is no longer whole.
    """

    def __init__(self, path: Path, num_lines: int):
        self.path = path
        content = path.read_bytes() if num_lines and path.exists() else b""
        lines = [line for line in content.split(b"\n")[:-1] if is_json(line)][:num_lines]
        if len(lines) < num_lines:
            console.print(f"{path} has {len(lines)} of the {num_lines} evaluations so far: the others are lost")
        self.num_lines = len(lines)
        save_atomically(path, b"".join(line + b"\n" for line in lines).decode("utf-8"))

    def append(self, record: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(to_json(record) + "\n")
            file.flush()
            os.fsync(file.fileno())


class EvaluationLog:
    """The evaluations of a run in metrics.jsonl, as learning curves in plots/, and on the console.

    The main process alone has one.
    """

    def __init__(self, folder: Path, validation: Validation, num_lines: int):
        """Keep the first ``num_lines`` records that the folder has, those of the steps before a resumed run."""
        self.validation = validation
        self.metrics_log = MetricsLog(folder / "metrics.jsonl", num_lines)
        self.num_records = self.metrics_log.num_lines
        self.curves_file = folder / CURVES_FILE
        remove_temporary_files_of(self.curves_file)  # other commands may be writing other plots there
        if self.num_records:  # the file may be missing, or have a point whose record was not kept
            self.draw_curves()

    def add(self, record: dict[str, Any], num_steps: int, note: str) -> None:
        """Log an evaluation, with a note at the end of its line on the console.

        Args:
            record: What the line of metrics.jsonl is to hold.
            num_steps: The planned steps of the whole training.
            note: The note.
        """
        self.metrics_log.append(record)
        self.draw_curves()
        for warning in self.validation.warnings(record["validation"], int(record["epoch"])):
            console.print(warning)
        console.print(describe_evaluation(record, self.validation, num_steps) + note)

    def draw_curves(self) -> None:
        """Draw the learning curves of all records so far."""
        plot_learning_curves(learning_curves(load_json_lines(self.metrics_log.path), self.validation), self.curves_file)


def describe_evaluation(record: Mapping[str, Any], validation: Validation, num_steps: int) -> str:
    """Describe an evaluation in one line."""
    unit = NLL_UNIT if "nll" in record else "per token"
    losses = "  ".join(f"{name} {record[name]:.3f} {unit}" for name in ("loss", "nll") if name in record)
    if "losses" in record:
        losses += f" ({', '.join(f'{name} {loss:.3f}' for name, loss in record['losses'].items())})"
    return (
        f"epoch {record['epoch']:g}  step {record['step']:,} of {num_steps:,}  {losses}  "
        f"{record['tokens_per_second']:,.0f} target tokens/s  validation: {validation.describe(record['validation'])}"
    )


def learning_curves(
    records: Sequence[Mapping[str, Any]], validation: Validation
) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Return the curves of some records: for each quantity, by its name and unit, points (step, value) of each line.

    The quantities are the negative log-likelihood, also of training, and the first metric of each part; what no
    record has is left out.
    """

    training = [(record["step"], record["nll"]) for record in records if "nll" in record]
    scores = [(record["step"], record["validation"]) for record in records]
    curves = {f"nll ({NLL_UNIT})": {"validation": [(step, own["nll"]) for step, own in scores], "training": training}}
    for name, part in validation.parts.items():
        for metric in part.metrics[:1]:
            own_scores = [(step, validation.scores_of(name, each)) for step, each in scores]
            points = [(step, own[metric.name]) for step, own in own_scores if metric.name in own]
            curves.setdefault(metric.label, {})[name or "validation"] = points
    drawn = {label: {name: points for name, points in lines.items() if points} for label, lines in curves.items()}
    return {label: lines for label, lines in drawn.items() if lines}
