"""Files for other scorers: a line for each example in all of them, from which sacreBLEU computes the same scores."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.common.inference.scorer_files import save_scorer_files
from tasks.common.metrics.translation import translation_metrics

SOURCES = ["eins", "zwei\nZeilen", "drei"]
REFERENCES = [
    ["a red dog runs over the grass", "the dog runs"],
    ["two\u2028men are\rtalking  ."],
    ["three", "3", "it is 3"],
]
HYPOTHESES = ["a dog runs over the grass", "two men talking .", "it is three"]


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split("\n")


def sacrebleu(folder: Path, name: str, *options: str) -> float:
    references = sorted(folder.glob(f"{name}.ref*"))
    command = [sys.executable, "-m", "sacrebleu", *map(str, references), "-i", str(folder / f"{name}.txt"), *options]
    done = subprocess.run([*command, "-w", "6"], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["score"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_scorer_files(tmp_path, "test", SOURCES, REFERENCES, HYPOTHESES)
    return tmp_path


def test_each_file_has_a_line_for_each_example(folder: Path):
    assert sorted(each.name for each in folder.iterdir()) == [
        *(f"test.ref{number}" for number in range(3)),
        "test.src",
        "test.txt",
    ]
    assert lines(folder / "test.src") == ["eins", "zwei Zeilen", "drei", ""]
    assert lines(folder / "test.ref0") == [REFERENCES[0][0], "two men are talking  .", "three", ""]
    assert lines(folder / "test.ref1") == ["the dog runs", "", "3", ""]
    assert lines(folder / "test.ref2") == ["", "", "it is 3", ""]


def test_references_of_a_former_evaluation_are_removed_and_those_of_others_stay(folder: Path):
    save_scorer_files(folder, "test-beam1", SOURCES, REFERENCES, HYPOTHESES)
    save_scorer_files(folder, "test", SOURCES[:1], [["one"]], HYPOTHESES[:1])
    assert [each.name for each in sorted(folder.glob("test.ref*"))] == ["test.ref0"]
    assert len(list(folder.glob("test-beam1.ref*"))) == 3


@pytest.mark.parametrize(("name", "options"), [("bleu", []), ("chrf", ["-m", "chrf"])])
def test_the_program_of_sacrebleu_has_the_same_score(folder: Path, name: str, options: list[str]):
    (metric,) = (each for each in translation_metrics("en") if each.name == name)
    assert sacrebleu(folder, "test", *options) == pytest.approx(metric(HYPOTHESES, REFERENCES), abs=1e-6)
