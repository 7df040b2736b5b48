"""Run folders of strangers, inputs of trained models, and command lines."""

import contextlib
import dataclasses
import io
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fuzz_files import images, picture, sounds, to_json, videos
from fuzz_inputs import NUMBERS, changed_files, changed_json, numbers, scalars, sentences, surrogates, texts, words
from fuzz_reader import Reader, answer, check
from fuzz_runs import TASKS, configs_of, save_run, save_runs
from hypothesis import strategies as st

from tasks import load, run
from tasks.common.console import console
from tasks.common.inference.prediction import Prediction
from tasks.common.inference.trained_model import TrainedModel
from tasks.common.training.checkpoints import load_optimizer, read_training

SAMPLE_RATE_HZ = 16_000
# Of scores, and of the encoder's states by their largest. Rounding alone makes some states differ by 1e-5: the random
# weights are three times as large as those that a training begins with.
MAX_DIFFERENCE = 1e-4

# ── Files of a run ────────────────────────────────────────────────────────────────────────────────────────────


def inputs_for(task: str) -> Any:
    """Return an input that a run of a task can read."""
    times = np.arange(8000) / SAMPLE_RATE_HZ
    return {
        "translation": "hier ist eine rote Vier",
        "speech_recognition": np.sin(2 * np.pi * 440 * times).astype(np.float32),
        "image_captioning": np.asarray(picture()),
        "video_to_text": np.stack([np.asarray(picture(number=number)) for number in range(3)]),
    }[task]


def read_run(folder: Path) -> None:
    """Load a run and generate a sentence with it, or find it refused."""
    model, _ = answer(load, folder)
    task = next((each for each in TASKS if folder.name.startswith(each)), "")
    if model is not None:
        answer(lambda: model([inputs_for(task)], beam=1, min_length=0, max_length=3))


def run_files(folder: Path, *names: str) -> Reader:
    """Fuzz some files of runs: each changed in a run whose other files are whole."""
    runs = save_runs(folder, first_only=True)
    whole = {f"{each.name}/{name}": (each / name).read_bytes() for [each] in runs.values() for name in names}
    parsed = {name: json.loads(content) for name, content in whole.items() if name.endswith(".json")}
    changed = changed_json(parsed).map(lambda named: (named[0], to_json(named[1])))

    def read(file: tuple[str, bytes]) -> None:
        name, content = file
        (folder / name).write_bytes(content)
        try:
            read_run(folder / Path(name).parts[0])
        finally:
            (folder / name).write_bytes(whole[name])

    return Reader(st.one_of(changed, changed, changed_files(whole)) if parsed else changed_files(whole), read)


def config(folder: Path) -> Reader:
    """The configuration of a run."""
    return run_files(folder, "config.json")


def vocabulary(folder: Path) -> Reader:
    """The vocabulary and statistics of a run before training, and those of its domain."""
    return run_files(folder, "vocabulary.json", "domain.json")


def checkpoints(folder: Path) -> Reader:
    """Weights, and the state of a training."""
    runs = run_files(folder, "best.safetensors")
    path = folder / "translation-0" / "last" / "training.safetensors"
    states = changed_files({"training.safetensors": path.read_bytes()})
    model = load(path.parents[1]).predictors[""].models[0]

    def resume() -> None:
        optimizer_states, _ = read_training(path)
        load_optimizer(torch.optim.AdamW(model.parameters()), optimizer_states, path)

    def read(file: tuple[str, bytes]) -> None:
        if file[0] != "training.safetensors":
            return runs.read(file)
        path.write_bytes(file[1])
        answer(resume)

    return Reader(st.one_of(runs.inputs, states), read)


# ── Inputs of a trained model ─────────────────────────────────────────────────────────────────────────────────


def values(folder: Path) -> Reader:
    """Objects that a program gives to a trained model: a prediction for each, or the reason why there is none."""
    models = {task: load(each[0]) for task, each in save_runs(folder, first_only=True).items()}
    files = st.one_of(*map(changed_files, (sounds(), images(), videos()))).map(lambda file: file[1])
    shapes = st.lists(st.integers(0, 9) | st.integers(0, 300), max_size=4).map(tuple)
    arrays = st.tuples(
        st.just("array"), shapes, st.sampled_from(["u1", "f4", "f8", "f2", "i2", "i8", "?", "c8", "O", "U2"])
    )
    each = st.one_of(scalars, files, arrays, st.tuples(arrays, st.integers() | st.sampled_from(NUMBERS)), st.just([]))

    def build(value: Any) -> Any:
        match value:
            case ("array", tuple() as shape, str() as dtype):
                size = min(math.prod(shape), 2**20)
                return np.resize(np.arange(size) * 7 % 251, shape if size == math.prod(shape) else (size,)).astype(
                    dtype
                )
            case (tuple() as array, int() as rate):
                return build(array), rate
        return value

    def read(value: tuple[str, list]) -> None:
        task, listed = value
        inputs = [build(item) for item in listed]
        made, _ = answer(lambda: models[task](inputs, beam=1, max_length=3))
        check(made is None or len(made) == len(inputs), "another number of predictions")
        for prediction in made or ():
            check(bool(prediction.problem) or isinstance(prediction.text, str), "a prediction without a text")

    return Reader(
        st.tuples(st.sampled_from(TASKS), st.lists(each, min_size=1, max_size=3)), read, lambda value: len(value[1])
    )


def noise(kind: str, size: int, seed: int) -> Any:
    """Make a source from three numbers, other for others: sound, an image or a video."""
    random = np.random.default_rng(seed)
    if kind == "speech_recognition":
        length = 1600 + 160 * (size % 50)
        tone = np.sin(2 * np.pi * random.uniform(100, 4000) * np.arange(length) / SAMPLE_RATE_HZ)
        return (0.3 * tone + random.normal(0, 0.1, length)).astype(np.float32)
    count = (1 + size % 12,) if kind == "video_to_text" else ()
    coarse = random.integers(0, 255, (*count, 4, 4, 3), dtype=np.uint8)
    return coarse.repeat(4 + size % 5, axis=-3).repeat(4, axis=-2)


def answers(task: str, folder: Path) -> Reader:
    """Several sources at once: answers in their order, the same as for each alone, and the same again."""
    models = [load(save_run(task, each, folder / str(number))) for number, each in enumerate(configs_of(task))]
    numbered = st.tuples(st.integers(0, 99), st.integers(0, 2**32 - 1))
    source = sentences if task == "translation" else numbered
    searches = st.tuples(st.integers(1, 3), st.integers(1, 3), st.sampled_from([0.0, 1.0]))
    inputs = st.tuples(st.integers(0, 99), searches, st.integers(1, 4), st.lists(source, min_size=1, max_size=6))

    def read(value: tuple) -> None:
        number, (beam, n_best, length_penalty), batch_size, listed = value
        model = models[number % len(models)]
        part = model.predictors[""].task
        batch = dataclasses.replace(part.config.batch, max_sources=batch_size)
        part.config = dataclasses.replace(part.config, batch=batch)
        sources = listed if task == "translation" else [noise(task, *each) for each in listed]
        search = {"beam": beam, "n_best": min(beam, n_best), "length_penalty": length_penalty}
        together = generate(model, sources, search)
        if together is None:  # the decoder has no such search
            return
        check(len(together) == len(sources), "another number of answers")
        place = number % len(sources)
        expected, alone = together[place : place + 1], generate(model, [sources[place]], search)
        if len(sources) == 1:
            check(expected == alone, "another answer the second time", expected, alone)
        check(is_close(expected, alone), "another answer alone than in a batch", expected, alone)
        compare_states(model, sources, place)

    return Reader(inputs, read, lambda value: len(value[3]), mean_count=3)


def generate(model: TrainedModel, sources: list, search: dict[str, Any]) -> list | None:
    """Return what is known of each prediction: problem, texts with their scores, words; None if that is refused."""

    def describe(prediction: Prediction) -> tuple:
        words = [(word.text, word.start, word.end) for word in prediction.words or ()]
        return prediction.problem, [(each.text, each.score) for each in prediction.n_best], words

    return answer(lambda: list(map(describe, model(sources, **search))))[0]


def is_close(one: Any, other: Any) -> bool:
    """Compare predictions, of which scores and times may differ by roundings."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=MAX_DIFFERENCE, abs_tol=MAX_DIFFERENCE)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(is_close, one, other))
    return bool(one == other)


def compare_states(model: TrainedModel, sources: list, place: int) -> None:
    """Compare the encoder's states of a source in a batch with those of it alone: padding changes none."""
    predictor = model.predictors[""]
    segments = [model.parse(each)[1].segments for each in sources]
    if not segments[place]:
        return
    single, batch = [segments[place][0].source], [segment.source for each in segments for segment in each]
    row = sum(map(len, segments[:place]))
    with torch.inference_mode():
        memories = [predictor.encode(predictor.task.batch_sources(each, training=False))[1] for each in (batch, single)]
    states = [
        (memory.states[at][memory.mask[at]], memory.summary[at]) for memory, at in zip(memories, (row, 0), strict=True)
    ]
    for one, other in zip(*states, strict=True):
        tolerance = MAX_DIFFERENCE * max(1.0, float(other.abs().max()))
        is_same = one.shape == other.shape and torch.allclose(one, other, rtol=0, atol=tolerance)
        check(is_same, "other states in a batch than alone")


# ── Command lines ─────────────────────────────────────────────────────────────────────────────────────────────

COMMANDS = ("train", "evaluate", "predict", "compare", "tune", "chat", "extract", "export", "push", "serve", "none")
FLAGS = (
    *("--beam", "--n-best", "--max-length", "--min-length", "--length-penalty", "--sample", "--seed", "--scores"),
    *("--format", "--words", "--ensemble", "--rerank", "--task", "--temperature", "--top-k", "--no-repeat-ngram"),
    *(
        "--train.epochs",
        "--train.lr",
        "--train.max-minutes",
        "--train.precision",
        "--train.schedule",
        "--batch.max-sources",
    ),
    *("--decoder.kind", "--decoder.hidden-dim", "--decoder.num-layers", "--decoder.copy", "--decoder.ctc-weight"),
    *(
        "--attention.score",
        "--attention.num-heads",
        "--attention.window-size",
        "--attention.locality",
        "--encoder.kind",
    ),
    *(
        "--encoder.sequence.hidden-dim",
        "--encoder.hidden-dim",
        "--encoder.size",
        "--frames.crop",
        "--features.num-mels",
    ),
    *(
        "--vocabulary.kind",
        "--vocabulary.size",
        "--source",
        "--target",
        "--text-column",
        "--caption-column",
        "--resume",
    ),
    *(
        "--init-from",
        "--vary",
        "--seeds",
        "--space",
        "--trials",
        "--split",
        "--baseline",
        "--to",
        "--quantize",
        "--device",
    ),
    *(
        "--output-dir",
        "--run",
        "--skip-invalid",
        "--projection-dim",
        "--search.beam",
        "--search.max-length",
        "--unknown",
    ),
)
VALUES = (
    "0",
    "1",
    "-1",
    "2",
    "4",
    "1e9",
    "0.5",
    "nan",
    "inf",
    "True",
    "text",
    "json",
    "srt",
    "ctc",
    "transformer",
    "dot",
    "none",
)


def command_lines(folder: Path) -> Reader:
    """Command lines of all tasks: exit code 0, 1 or 2, and with 2 one line."""
    runs = [each.name for [each] in save_runs(folder, first_only=True).values()]
    for name, content in (("a.png", images()["RGB.png"]), ("a.wav", sounds()["PCM_16.wav"]), ("a.txt", b"rote Vier\n")):
        (folder / name).write_bytes(content)
    names = st.sampled_from(["a.png", "a.wav", "a.txt", "a.mp4", ".", "missing", "-", *runs])
    value = st.one_of(st.sampled_from(VALUES), names, texts, surrogates, numbers.map(str), words)
    flag = st.tuples(st.sampled_from(FLAGS), value)
    flags = st.lists(
        st.one_of(flag, flag.map(lambda pair: ("=".join(pair),)), flag.map(lambda pair: pair[:1])), max_size=4
    )
    task = st.sampled_from([*TASKS, *TASKS, "summarization", "joint", "poetry"])
    start = st.one_of(
        st.tuples(st.sampled_from(runs)).map(lambda run: (run[0].rpartition("-")[0], "predict", run[0])),
        st.tuples(task, st.just("predict"), st.sampled_from([*runs, "missing"])),
        st.tuples(task, st.just("train"), st.sampled_from(["tiny", "small", "demo", "tny", "--help"])),
        st.tuples(task, st.sampled_from(["compare", "tune"]), st.just("tiny")),
        st.tuples(task, st.sampled_from(COMMANDS), value),
        st.tuples(st.sampled_from(["export", "push", "serve", "demo", "", "--help"]), st.just("missing")),
    )
    lines = st.tuples(start, st.lists(value, max_size=3), flags).map(
        lambda parts: [*parts[0], *parts[1], *(each for flag in parts[2] for each in flag)]
    )

    def read(arguments: list[str]) -> None:
        # Nothing is trained or served here: there are no such data, and no such run.
        needs_data = len(arguments) > 1 and arguments[1] in ("train", "compare", "tune", "evaluate")
        if arguments[0] in ("demo", "serve"):
            arguments = [*arguments, "--unknown"]
        code, errors = run_command([*arguments, *(["--data", "missing"] if needs_data else [])])
        check(code in (0, 1, 2), "another exit code than 0, 1 and 2", code)
        check("Traceback" not in errors, "a traceback", errors)
        _, is_error, message = errors.rpartition("error: ")
        is_unusable = "its line stays empty" in errors
        check(code != 2 or bool(is_error) or is_unusable, "exit code 2 without a line", errors)
        check(not is_error or message.count("\n") == 1, "an error of several lines", message)

    return Reader(lines, read)


def run_command(arguments: list[str]) -> tuple[Any, str]:
    """Run a command in this process. Return its exit code and what it wrote to standard error."""
    errors, source = io.StringIO(), sys.stdin
    console.file, sys.stdin = errors, io.TextIOWrapper(io.BytesIO(b"hier ist\n"))
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
            run.main(arguments)
    except SystemExit as exit:
        return exit.code or 0, errors.getvalue()
    finally:
        console.file, sys.stdin = None, source
    return 0, errors.getvalue()
