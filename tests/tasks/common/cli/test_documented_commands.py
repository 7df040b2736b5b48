"""All documented commands that train are parsed, so that the documentation cannot go out of date."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks import run
from tasks.common.cli import train_options
from tasks.common.cli.compare_options import parse_compare
from tasks.common.cli.preset_choice import choose_preset
from tasks.common.cli.train_options import parse_train
from tasks.common.cli.tune_options import parse_tune

ROOT = Path(__file__).parents[4]
DOCUMENTS = [
    "README.md",
    "benchmarks/README.md",
    *sorted(
        str(path.relative_to(ROOT)) for pattern in ("docs/*.md", "tasks/*/README.md") for path in ROOT.glob(pattern)
    ),
]
# A command that is cut short, and examples of a mistake and of a score function that the reader is to write.
NOT_FOR_USE = ("...", "--decoder.kind ctc --attention.score dot", "distance")


def documented_commands(text: str) -> Iterator[list[str]]:
    """Find the arguments of the commands that train."""
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        found = re.search(r"run\.py (\w+ (?:train|compare|tune)\b(?!, )[^`#]*)", line)
        if found and found[1].split()[0] in run.TASKS and not any(words in line for words in NOT_FOR_USE):
            yield shlex.split(found[1])


def test_commands_are_found_in_lines_and_in_text():
    text = "$ run.py translation train tiny \\\n    --train.lr 1 # x\nIn `run.py poetry train`: no `run.py TASK train`."
    assert [*documented_commands(text)] == [["translation", "train", "tiny", "--train.lr", "1"], ["poetry", "train"]]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documented_commands_can_be_parsed(document, monkeypatch, tmp_path):
    configs = {}  # of the runs of earlier commands in the document, for --init-from
    monkeypatch.setattr(train_options, "load_config", lambda task, folder: configs[str(folder)])
    text = (ROOT / document).read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for task, command, *arguments in documented_commands(text):
        preset = choose_preset(task, arguments)
        if command == "train":
            options, folder = parse_train(task, preset)
            configs[str(folder)] = options.config
        else:
            {"compare": parse_compare, "tune": parse_tune}[command](task, preset)
