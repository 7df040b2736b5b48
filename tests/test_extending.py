"""The guide docs/extending.md: its code, applied to a copy of the project, passes the project's tests and trains."""

import dataclasses
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import tasks
from tasks import run
from tasks.common.data.inputs import ParsedInput
from tasks.common.files import load_json_lines, save_json
from tasks.common.inference.loading import load_runs
from tasks.common.training.trainer import Trainer

ROOT = Path(__file__).parents[1]
PACKAGES = ("attention", "encoders", "decoders", "tasks", "tests")
TASK = "series_to_text"
TESTS = (
    "tests/attention/test_score_functions.py",
    "tests/attention/test_locality.py",
    "tests/encoders/test_sequence_encoders.py",
    "tests/decoders/test_build.py",
    "tests/test_architecture.py",
)
BLOCK = re.compile(r"^```(python|diff)\n# (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
GUIDE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
BLOCKS = BLOCK.findall(GUIDE)  # language, file, code


def apply_changes(text: str, changes: str) -> str:
    """Apply the lines of a ```diff block to a file's text; ``...`` is the rest of a line, kept where it is added."""
    lines = changes.splitlines(keepends=True)
    before = "".join(line[1:] or "\n" for line in lines if line[0] != "+")
    after = "".join(line[1:] or "\n" for line in lines if line[0] != "-")
    pattern = re.compile("^" + re.escape(before).replace(r"\.\.\.", "(.+)"), re.MULTILINE)
    matches = list(pattern.finditer(text))
    assert len(matches) == 1, f"{len(matches)} places for this change:\n{changes}"
    (match,) = matches
    kept = iter(match.groups())
    after = re.sub(r"\.\.\.", lambda _: next(kept), after)
    return text[: match.start()] + after + text[match.end() :]


def apply_guide(root: Path, files: str = "") -> None:
    """Apply the blocks for files whose path begins with ``files`` to the project in ``root``."""
    for language, name, code in BLOCKS:
        if not name.startswith(files):
            continue
        file = root / name
        old = file.read_text(encoding="utf-8") if file.is_file() else ""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(apply_changes(old, code) if language == "diff" else old + code, encoding="utf-8")


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with everything that the guide adds."""
    root = tmp_path_factory.mktemp("extended")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "conftest.py"):
        shutil.copy(ROOT / file, root)
    apply_guide(root)
    (root / "tasks" / TASK / "README.md").write_text("# Series to text\n", encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def task_package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The worked task, imported from a temporary folder as if it were one of the project's."""
    root = tmp_path_factory.mktemp("task")
    apply_guide(root, files=f"tasks/{TASK}")
    tasks.__path__.append(str(root / "tasks"))
    importlib.invalidate_caches()
    yield importlib.import_module(f"tasks.{TASK}")
    tasks.__path__.remove(str(root / "tasks"))
    for name in [name for name in sys.modules if name.startswith(f"tasks.{TASK}")]:
        del sys.modules[name]
    delattr(tasks, TASK)


def execute(root: Path, code: str) -> str:
    """Execute Python code in a folder and return its output."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_code_block_names_its_file_and_no_line_is_too_long():
    assert len(BLOCKS) == len(re.findall(r"^```\w", GUIDE, re.MULTILINE))
    assert max(map(len, GUIDE.splitlines())) <= 120


@pytest.fixture(scope="module")
def report(extended: Path) -> str:
    """The output of one process in the copy, which runs tests of the additions and then the guide's last command."""
    command = re.search(r"(series_to_text train tiny --run [^`]*?--decoder\.kind window)", GUIDE)
    assert command
    chosen = "distance or dilated or window or series or same_files or names_no_task"
    arguments = ["-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib", "-v", "-k", chosen, *TESTS]
    flags = [*command[1].split(), "--train.epochs", "1"]
    run_both = f"code = pytest.main({arguments}); run.main({flags}); raise SystemExit(code)"
    return execute(extended, f"import pytest; from tasks import run; {run_both}")


@pytest.mark.parametrize("name", ["distance", "dilated", "window", TASK])
def test_the_additions_pass_the_tests_of_the_project(report: str, name: str):
    """Among them those of the new score with every locality, selection, hierarchy and number of heads."""
    assert re.search(rf"{name}.* PASSED", report), report


def test_all_additions_work_together_on_the_command_line(report: str, extended: Path):
    config = json.loads((extended / "runs" / "new" / "config.json").read_text(encoding="utf-8"))["config"]
    chosen = config["attention"]["score"], config["encoder"]["kind"], config["decoder"]["kind"]
    assert chosen == ("distance", "dilated", "window")
    assert (extended / "runs" / "new" / "best.safetensors").is_file()


@pytest.fixture(scope="module")
def trained(task_package: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the worked task's tiny preset."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    config = task_package.PRESETS["tiny"]()
    trainer = Trainer(tasks.task_class(TASK)(config), folder, resume=False)
    save_json(folder / "config.json", {"task": TASK, "config": dataclasses.asdict(config)})
    trainer.run()
    return folder


def test_the_worked_task_learns(trained: Path):
    records = load_json_lines(trained / "metrics.jsonl")
    losses = [record["loss"] for record in records]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.8 * losses[0]
    assert 0.0 <= records[-1]["validation"]["clauses"] <= 100.0


def test_a_loaded_run_of_the_worked_task_generates_and_plots(trained: Path, tmp_path: Path):
    predictor = load_runs(TASK, [trained])
    file = tmp_path / "day.csv"
    file.write_text("".join(f"{10 + hour},0.0\n" for hour in range(6)), encoding="utf-8")
    day, missing = (
        predictor.task.parse_input(listed)
        for listed in predictor.task.list_inputs([str(file), str(tmp_path / "missing.csv")])
    )
    assert isinstance(day, ParsedInput) and day.problem is None
    assert not missing.segments and "cannot be read" in (missing.problem or "")
    (segment,) = day.segments
    config = predictor.task.config.search
    ((best,),) = predictor.generate([segment.source], config)
    assert re.match(r"(warmer|colder|steady) and (wet|dry)", predictor.task.detokenize(best.tokens))
    weights = predictor.attention_weights(segment.source, best)
    assert weights is not None
    assert weights.shape == (len(best.tokens) + 1, 6)
    assert predictor.plot_alignment(segment.source, best, tmp_path / "alignment.png") is not None
    assert (tmp_path / "alignment.png").stat().st_size > 1000


def test_the_worked_task_reads_tables_and_reports_all_invalid_rows(task_package: ModuleType, tmp_path: Path):
    rows = [
        {"series": [[1.0, 0.0], [2.0, 0.0]], "text": "warmer and dry"},
        {"series": [[1.0, 0.0, 5.0]], "text": "colder and dry"},
        {"series": [], "text": "steady and dry"},
    ]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "validation.jsonl").touch()
    config = task_package.Config(data=str(tmp_path))
    with pytest.raises(ValueError, match=r"2 of 3 rows are invalid: row 2 has steps .*; row 3 is empty\."):
        tasks.task_class(TASK)(config).load("train")
    with pytest.raises(ValueError, match="has no split test"):
        tasks.task_class(TASK)(config).load("test")
    kept = tasks.task_class(TASK)(task_package.Config(data=str(tmp_path), skip_invalid=True)).load("train")
    assert kept["references"][:] == [["warmer and dry"]]


def test_the_worked_task_is_a_command(task_package: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setitem(run.TASKS, TASK, "describe a series of measurements")
    with pytest.raises(SystemExit) as exited:
        run.main([TASK, "train", "tiny", "--num-examples", "5", "--data", "folder"])
    assert exited.value.code == 2
    assert "--num-examples has no effect: --data is set" in capsys.readouterr().err
