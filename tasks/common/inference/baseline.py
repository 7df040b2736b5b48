"""The hypotheses of another run, to compare an evaluation with."""

from collections.abc import Sequence
from pathlib import Path

from tasks.common.errors import UsageError
from tasks.common.hub.runs import reports_folder
from tasks.common.inference.report_name import name_report


def find_hypotheses(run: Path, suffixes: Sequence[str], own: Path, split: str, data: str | None) -> Path:
    """Find the hypotheses of another run for the same split of the same data.

    Args:
        run: Its folder. What was evaluated here comes before what was published with the run.
        suffixes: What its name may end in: that of the same settings, and then that of its own.
        own: The file that this evaluation will write, which may be in the same folder.
        split: train, validation or test.
        data: The data, if they are not those of this run.

    Raises:
        UsageError: if there is none.
    """
    folders = [each / "evaluation" for each in (reports_folder(run), run)]
    allowed = [folder / f"{name_report(folder, split, data, suffix)}.txt" for suffix in suffixes for folder in folders]
    found = [file for file in allowed if file.is_file() and file.resolve() != own.resolve()]
    if not found:
        where = split if data is None else f"{split} with --data {data}"
        raise UsageError(f"{folders[0]} has no hypotheses of {where}: evaluate that run on {where} first")
    return found[0]


def load_hypotheses(file: Path, count: int) -> list[str]:
    """Load the hypotheses of another run, one a line. Raises UsageError if they are not ``count``."""
    lines = file.read_text(encoding="utf-8").split("\n")[:-1]
    if len(lines) != count:
        raise UsageError(f"{file} has {len(lines)} hypotheses for {count} examples: evaluate that run on the same data")
    return lines
