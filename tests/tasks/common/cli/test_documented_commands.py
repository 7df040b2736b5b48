"""All documented commands are parsed, so that the documentation cannot go out of date."""

import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import tasks
from tasks import run
from tasks.common.cli import arguments as arguments_of_commands
from tasks.common.cli import evaluate_options, predict_options, train_options
from tasks.common.cli.preset_choice import choose_preset
from tasks.common.cli.train_options import parse_train
from tasks.dialogue import chat_options

ROOT = Path(__file__).parents[4]
DOCUMENTS = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("*.md", "benchmarks/*.md", "docs/**/*.md", "tasks/*/README.md")
    for path in ROOT.glob(pattern)
)
# A command that is cut short, a placeholder, and examples of a mistake and of a score function that the reader writes.
NOT_FOR_USE = re.compile(
    r"\.\.\.|…|--help|\blesson NAME\b|--decoder\.kind ctc --attention\.score dot|\bdistance\b|\bseries_to_text\b"
)
COMMAND = re.compile(r"run\.py ([a-z]\w*[^`#|>;\n]*)")


def documented_commands(text: str) -> Iterator[list[str]]:
    """Find the arguments of the commands; those that are optional, in brackets, are given."""
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        for found in COMMAND.findall(line):
            words = [] if NOT_FOR_USE.search(found) else shlex.split(found.replace("[", "").replace("]", ""))
            if words and (words[0] in run.PROGRAM_COMMANDS or (words[0] in run.TASKS and words[1:])):
                yield words


def test_commands_are_found_in_lines_and_in_text():
    text = "$ run.py translation train tiny \\\n    --train.lr 1 # x\nIn `run.py lesson`: no `run.py TASK train`.\n"
    text += "run.py export RUN [--to onnx] > file\n"
    found = [["translation", "train", "tiny", "--train.lr", "1"], ["lesson"], ["export", "RUN", "--to", "onnx"]]
    assert [*documented_commands(text)] == found


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documented_commands_can_be_parsed(document, monkeypatch, tmp_path):
    configs = {}  # of the runs of earlier commands in the document
    for module in (train_options, evaluate_options, predict_options, chat_options):
        monkeypatch.setattr(
            module, "load_config", lambda task, folder: configs.get(str(folder), tasks.package(task).Config())
        )
    monkeypatch.setattr(arguments_of_commands, "find_run", Path)
    text = (ROOT / document).read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for command, *arguments in documented_commands(text):
        if command in run.PROGRAM_COMMANDS:
            import_module(f"{run.PROGRAM_COMMANDS[command]}_options").parse_command(arguments)
        elif arguments[0] == "train":
            options, folder = parse_train(command, choose_preset(command, arguments[1:]))
            configs[str(folder)] = options.config
        else:
            module = run.commands_of(command)[arguments[0]]
            import_module(f"{module}_options").parse_command(command, arguments[1:])
