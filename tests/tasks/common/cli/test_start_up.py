"""The imports of commands: pages of help no torch, and a prediction none of the libraries that data and plots need."""

import ast
import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

import tasks
from tasks import run
from tasks.common.files import save_json
from tasks.common.task_group import as_group
from tasks.common.training.checkpoints import save_weights, weights_of

ROOT = Path(__file__).parents[4]
SLOW = ("accelerate", "datasets", "matplotlib", "pandas", "pyarrow", "scipy", "torch._dynamo", "transformers")
HELP = (
    [],
    ["--help"],
    *([command, "--help"] for command in run.PROGRAM_COMMANDS),
    *([task, "--help"] for task in tasks.TASKS),
    *([task, command, "--help"] for task in tasks.TASKS for command in run.commands_of(task)),
    *([task, "train", preset, "--help"] for task in tasks.TASKS for preset in tasks.package(task).PRESETS),
)
MISTAKES = (
    ["traslation"],
    ["translation"],
    ["translation", "trian"],
    ["translation", "train", "tinny"],
    ["translation", "train", "tiny", "--train.epoch", "1"],
    ["translation", "train", "tiny", "--decoder.kind", "ctc", "--attention.score", "dot"],
    ["translation", "predict", "nowhere", "a sentence"],
    ["translation", "compare", "tiny", "--vary", "attention=dots"],
    ["serve"],
)
EACH = """
import contextlib, io, json, sys
from tasks import run
commands, modules = json.loads(sys.argv[1])
imported = {}
for command in commands:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            run.main(command)
            code = 0
        except SystemExit as exit:
            code = exit.code or 0
    imported[" ".join(command)] = code, [name for name in modules if name in sys.modules]
print(json.dumps(imported))
"""


def imports_after(commands: list[list[str]], modules: tuple[str, ...], folder: Path) -> dict[str, tuple[int, list]]:
    """Run commands one after the other in one process of its own.

    Returns:
        The exit code of each, and which of some modules are imported after it.
    """
    arguments = [sys.executable, "-c", EACH, json.dumps([commands, modules])]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(folder), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_help_and_mistakes_import_neither_torch_nor_what_is_as_slow(tmp_path: Path):
    imported = imports_after([*HELP, *MISTAKES], ("torch", *SLOW), tmp_path)
    assert [code for code, _ in imported.values()] == [0] * len(HELP) + [2] * len(MISTAKES)
    assert {command: names for command, (_, names) in imported.items() if names} == {}


def test_a_prediction_imports_no_library_of_data_training_and_plots(tmp_path: Path):
    config = tasks.package("translation").PRESETS["tiny"]()
    task = tasks.task_class("translation")(config)
    task.fit(task.load("train").select(range(50)))
    save_json(tmp_path / "run" / "config.json", {"task": "translation", "config": dataclasses.asdict(config)})
    save_json(tmp_path / "run" / "vocabulary.json", task.state_dict())
    save_weights(tmp_path / "run" / "best.safetensors", weights_of(as_group(task).build_model()))
    command = ["translation", "predict", "run", "eine Sieben"]
    assert imports_after([command], ("torch", *SLOW), tmp_path) == {" ".join(command): [0, ["torch"]]}


@pytest.mark.parametrize("task", tasks.TASKS)
def test_the_task_of_a_package_is_a_class(task: str):
    assert tasks.task_class(task).__module__ == f"tasks.{task}.task"


def test_settings_and_presets_import_no_torch_themselves():
    """So that a new one is noticed where it is written, and not in the command that imports it in the end."""
    files = [*ROOT.glob("*/config.py"), *ROOT.glob("tasks/*/config.py"), *ROOT.glob("tasks/*/presets.py")]
    assert len(files) > 20
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.partition(".")[0] in ("torch", "numpy", *SLOW) for name in names), file
