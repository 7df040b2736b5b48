"""Several processes share the work of evaluate and predict, with the results of one."""

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from decoders.config import SearchConfig
from tasks import run
from tasks.common.cli.outcomes import Outcome, gather_in_order
from tasks.common.cli.predict import PredictOptions, generate_outcomes
from tasks.common.errors import UsageError
from tasks.common.inference.evaluation import compute_perplexity
from tasks.common.inference.predictor import Predictor, generate_texts
from tasks.common.inference.trained_model import TrainedModel
from tasks.common.processes import Processes
from tasks.common.task_group import ALONE
from tasks.translation import PRESETS
from tasks.translation.task import Translation as Task

ROOT = Path(__file__).parents[3]


class Together(Processes):
    """A thread in place of a process; what one gathers is exchanged in a list."""

    def __init__(self, rank: int, exchange: list, barrier: threading.Barrier):
        super().__init__()
        self.rank, self.count, self.is_main = rank, len(exchange), rank == 0
        self.exchange, self.barrier = exchange, barrier

    def gather_objects(self, value: Any) -> list[Any]:
        self.exchange[self.rank] = value
        self.barrier.wait()
        gathered = list(self.exchange)
        self.barrier.wait()
        return gathered

    def gather(self, value: int | float) -> list[int | float]:
        return self.gather_objects(value)

    def from_main(self, make: Callable[[], Any]) -> Any:
        return self.gather_objects(make() if self.is_main else None)[0]


def together(count: int, function: Callable[[Processes], Any]) -> list[Any]:
    """Return what a function returns in each of several processes."""
    exchange, barrier = [None] * count, threading.Barrier(count, timeout=60)
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda rank: function(Together(rank, exchange, barrier)), range(count)))


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    torch.manual_seed(0)
    task = Task(PRESETS["tiny"]())
    task.fit(task.load("validation").select(range(60)))
    return Predictor(task, [task.build_model().eval()])


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_the_results_of_all_shares_are_in_the_order_of_the_work(count: int):
    for size in (0, 1, 4, 7):
        work = range(size)
        for merged in together(count, lambda each, work=work: each.merge([10 * item for item in each.share(work)])):
            assert merged == [10 * item for item in work]


def test_each_process_generates_its_share_of_the_sentences_and_of_their_lengths(predictor: Predictor):
    examples = predictor.task.load("validation").select(range(21))
    lengths, search = predictor.task.example_lengths(examples), SearchConfig(beam=2, max_length=6)
    shares: list[int] = []

    class Counting(Predictor):
        def generate_all(self, sources, lengths, config):
            shares.append(sum(lengths))
            return super().generate_all(sources, lengths, config)

    alone = generate_texts(predictor, examples, lengths, search, Processes())
    counting = Counting(predictor.task, predictor.models)
    assert together(2, lambda each: generate_texts(counting, examples, lengths, search, each)) == [alone, alone]
    assert sum(shares) == sum(source for source, _ in lengths) and 0.8 < shares[0] / shares[1] < 1.25
    perplexity = compute_perplexity(predictor, examples, lengths, Processes())
    shared = together(2, lambda each: compute_perplexity(predictor, examples, lengths, each))
    assert shared == [pytest.approx(perplexity)] * 2


def make_outcome(number: int) -> Outcome:
    return Outcome(number, ALONE, f"input {number}")


def test_outcomes_of_chunks_of_any_size_are_put_in_order():
    sizes = [[4, 1], [1, 2, 1, 1], []]  # of each process's chunks; the third has no input

    def chunks(processes: Processes) -> Iterator[list[Outcome]]:
        numbers = iter(range(processes.rank + 1, 100, 2))  # the inputs are shared by two
        for size in sizes[processes.rank]:
            yield [make_outcome(next(numbers)) for _ in range(size)]

    for rounds in together(3, lambda each: [list(part) for part in gather_in_order(chunks(each), each)]):
        assert [outcome.number for part in rounds for outcome in part] == [*range(1, 11)]
        assert [outcome.number for outcome in rounds[0]] == [1, 2, 3]  # 5 and 7 are known, but 4 is not


def predicted(processes: Processes, predictor: Predictor, *inputs: str, **changes: Any) -> list[list[Outcome]]:
    """Return the outcomes that each process generates of some inputs."""
    model = TrainedModel({ALONE: predictor}, {ALONE: None})
    options = replace(PredictOptions(SearchConfig(beam=1, max_length=5), inputs), **changes)
    own = [list(chunk) for chunk in generate_outcomes(model, processes, options)]
    return processes.gather_objects([outcome for chunk in own for outcome in chunk])


def test_the_main_process_reads_standard_input_for_all(predictor: Predictor, monkeypatch: pytest.MonkeyPatch, tmp_path):
    empty = tmp_path / "empty.txt"
    empty.touch()
    inputs = ("-", "ein Hund", str(empty), "-")
    lines = "eine rote Sieben\nzwei\ndrei kleine Hunde\n"
    outcomes = []
    for count in (1, 2):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
        (shares, *_) = together(count, lambda each: predicted(each, predictor, *inputs))
        outcomes.append(sorted((outcome for share in shares for outcome in share), key=lambda each: each.number))
        assert [len(share) for share in shares] == ([6] if count == 1 else [3, 3])
    assert [replace(each, taken_s=0.0) for each in outcomes[0]] == [replace(each, taken_s=0.0) for each in outcomes[1]]
    assert [each.name for each in outcomes[1]][:4] == [*lines.splitlines(), "ein Hund"]
    problems = [each.problem for each in outcomes[1]]
    assert problems[:4] == [None] * 4 and all("is empty" in str(problem) for problem in problems[4:])


def test_a_plot_of_another_process_is_saved_by_the_main_one(predictor: Predictor, tmp_path: Path):
    shares, _ = together(2, lambda each: predicted(each, predictor, "ein Hund", "zwei", plot_dir=str(tmp_path)))
    (outcome,) = shares[1]
    assert [{*plot} for plot in outcome.plots] == [{".png"}] and outcome.plots[0][".png"].startswith(b"\x89PNG")
    assert not list(tmp_path.iterdir())


def test_subtitles_of_several_inputs_are_refused_without_reading_them(predictor: Predictor):
    with pytest.raises(UsageError, match="--format srt makes the subtitles of one recording"):
        predicted(Processes(), predictor, "a", "b", format="srt")


def test_two_launched_processes_train_and_then_evaluate_and_predict_like_one(
    tmp_path: Path, save_text_pairs: Callable[..., None], capsys: pytest.CaptureFixture[str]
):
    save_text_pairs(tmp_path, train=60, validation=8, test=9)
    trained, inputs = str(tmp_path / "run"), str(tmp_path / "test.de")
    flags = ["--data", str(tmp_path), "--train.epochs", "1", "--search.max-length", "5"]
    train = ["translation", "train", "tiny", "--run", trained, *flags]
    evaluate, predict = ["translation", "evaluate", trained], ["translation", "predict", trained, "-", " ", inputs]
    script = tmp_path / "commands.py"
    script.write_text(
        "from tasks import run\n" + "".join(f"run.main({command})\n" for command in (train, evaluate, predict))
    )
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", str(script)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", "PYTHONPATH": str(ROOT)}
    text = Path(inputs).read_text(encoding="utf-8")
    two = subprocess.run(launch, env=environment, input=text, capture_output=True, text=True, timeout=240)
    assert two.returncode == 0, two.stderr
    assert "on 2 x cpu" in two.stderr
    report = Path(trained, "evaluation", "test.json")
    together = json.loads(report.read_text(encoding="utf-8"))
    run.main(evaluate)
    alone = json.loads(report.read_text(encoding="utf-8"))
    monkey = io.TextIOWrapper(io.BytesIO(text.encode()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", monkey)
        run.main(predict)
    assert (together.pop("processes"), alone.pop("processes")) == (2, 1)
    for values in (together, alone):
        del values["sentences_per_second"]
    assert together == alone
    assert two.stdout.replace(", 2 processes", "") == capsys.readouterr().out
