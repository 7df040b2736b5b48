"""Train on small datasets for two minutes each, and measure what was learned against chance.

    python benchmarks/small_data.py --out FOLDER --multi30k DIR --flickr8k DIR --msrvtt DIR --grid DIR --kerstin DIR \\
        --an4 DIR --pretrained MODEL

Each dataset is the beginning of a real corpus, whose folder is given: 200 pairs, 40 recordings, 60 images, 30 clips.
The validation split has half as many. The preset ``small`` is trained for ``--minutes``, and evaluated on other
examples of the corpus: its output for their sources, the same output for other sources, and the training sentence
that scores best as the output for all sources. The last two are chance: they know the corpus, and not the source. The
likelihood of the references is that of permuted_sources.py.

``--pretrained`` is an image model, which is frozen, for the datasets that are to have one. Datasets of corpora that are
not given are left out. Other flags are passed on to training.
"""

import argparse
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from permuted_sources import permuted_likelihoods

from tasks import run
from tasks.common.cli.variants import to_markdown
from tasks.common.files import load_json_lines, save_atomically
from tasks.common.inference.loading import load_runs
from tasks.common.inference.predictor import generate_texts
from tasks.common.metrics.base import Metric
from tasks.common.metrics.bootstrap import Bootstrap
from tasks.common.processes import Processes

NUM_TEST = 200
MAX_CONSTANTS = 200  # training sentences that are tried as the constant output


@dataclass(frozen=True)
class Case:
    """A small dataset: its task, its corpus, the number of its training examples and the flags of its training."""

    name: str
    task: str
    corpus: str
    num_examples: int
    flags: tuple[str, ...] = ()
    is_pretrained: bool = False


CASES = (
    Case("Multi30k en-de", "translation", "multi30k", 200, ("--source", "en", "--target", "de")),
    Case("GRID, sound", "speech_recognition", "grid", 40),
    Case("Kerstin", "speech_recognition", "kerstin", 40),
    Case("AN4, MFCC", "speech_recognition", "an4", 40),
    Case("Flickr8k", "image_captioning", "flickr8k", 60, is_pretrained=True),
    Case("Flickr8k from scratch", "image_captioning", "flickr8k", 60),
    Case("MSR-VTT", "video_to_text", "msrvtt", 30, is_pretrained=True),
)


def copy_beginning(corpus: Path, folder: Path, num_examples: int) -> None:
    """Copy the first examples of a corpus, of parallel files or of media with a metadata.jsonl."""
    num_validation = num_examples // 2
    splits = {  # of the copy: the split of the corpus, and its rows
        "train": ("train", slice(num_examples)),
        "validation": ("validation", slice(num_validation)),
        "test": ("validation", slice(num_validation, num_validation + NUM_TEST)),
    }
    for split, (origin, part) in splits.items():
        metadata = corpus / origin / "metadata.jsonl"
        if metadata.is_file():
            rows = load_json_lines(metadata)[part]
            for row in rows:
                target = folder / split / row["file_name"]
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(corpus / origin / row["file_name"], target)
            save_atomically(folder / split / "metadata.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        else:
            for file in corpus.glob(f"{origin[:3]}*.*"):
                lines = file.read_text(encoding="utf-8").splitlines(keepends=True)[part]
                save_atomically(folder / f"{split}{file.suffix}", "".join(lines))


def best_constant(metric: Metric, candidates: Sequence[str], references: Sequence[Sequence[str]]) -> str:
    """Return the sentence that scores best as the output for all sources."""
    pick: Callable = max if metric.higher_is_better else min
    return pick(candidates, key=lambda text: metric([text] * len(references), references))


def measure(case: Case, options: argparse.Namespace) -> dict[str, str]:
    """Train on a small dataset, and return its row in the table."""
    folder = options.out / case.name.replace(" ", "-").replace(",", "")
    if not (folder / "data").is_dir():
        copy_beginning(getattr(options, case.corpus), folder / "data", case.num_examples)
    flags = ["--data", str(folder / "data"), "--train.max-minutes", f"{options.minutes:g}", *case.flags, *options.flags]
    if case.is_pretrained:
        flags += ["--encoder.pretrained", str(options.pretrained)]
    if not (folder / "run").is_dir():
        run.main([case.task, "train", "small", "--run", str(folder / "run"), *flags])
    predictor = load_runs(case.task, [folder / "run"])
    task = predictor.task
    examples = predictor.precompute_if_frozen(task.load("test"))
    hypotheses = generate_texts(predictor, examples, task.example_lengths(examples), task.config.search, Processes())
    references = examples["references"]
    metric = task.metrics[0]
    training = [text for several in task.load("train")["references"] for text in several]
    constant = best_constant(metric, list(dict.fromkeys(training))[:MAX_CONSTANTS], references)
    half = len(hypotheses) // 2
    own = metric.sufficient_stats(hypotheses, references)
    chances = {
        "output for other sources": [*hypotheses[half:], *hypotheses[:half]],
        "best constant sentence": [constant] * len(hypotheses),
    }
    last = load_json_lines(folder / "run" / "metrics.jsonl")[-1]
    row = {
        "data": f"{case.num_examples} of {case.name}",
        "test": f"{len(hypotheses)}",
        "updates": f"{last['step']:,}",
        "minutes": f"{last['seconds'] / 60:.1f}",
        "metric": metric.name,
        "the model": f"{metric(hypotheses, references):.2f}",
    }
    for name, texts in chances.items():
        chance = metric.sufficient_stats(texts, references)
        p = Bootstrap(len(hypotheses)).compare(metric, own, chance)["p"]
        row[name] = f"{metric(texts, references):.2f}, p {p:.3f}"
    nll = permuted_likelihoods(predictor, examples)
    return row | {"nats a token": f"{nll['own source']:.3f}", "with other sources": f"{nll['all of another']:.3f}"}


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description="Two minutes of training on small datasets.")
    parser.add_argument("--out", type=Path, required=True)
    for corpus in dict.fromkeys(case.corpus for case in CASES):
        parser.add_argument(f"--{corpus}", type=Path, help="its folder")
    parser.add_argument("--pretrained", help="folder or name of an image model")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--only", nargs="*", help="names of datasets")
    options, options.flags = parser.parse_known_args()
    rows = [
        measure(case, options)
        for case in CASES
        if getattr(options, case.corpus)
        and (options.pretrained or not case.is_pretrained)
        and (options.only is None or case.name in options.only)
    ]
    save_atomically(options.out / "small_data.md", to_markdown(rows))
    print(to_markdown(rows), end="")


if __name__ == "__main__":
    main()
