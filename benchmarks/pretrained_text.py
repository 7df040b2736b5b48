"""Measure what a pretrained text encoder is worth by the size of the training data: from scratch, frozen, fine-tuned.

    python benchmarks/pretrained_text.py --out FOLDER --pretrained MODEL [--multi30k DIR]

Each dataset is the beginning of a corpus, in an order that is the same for all sizes: docstrings of the installed
packages and their summaries, and Multi30k's English and German (left out where its folder is not given). Validation and
test splits are whole. The preset ``small``, whose sizes and minutes depend on the number of examples, is trained three
times: from scratch, with the pretrained encoder frozen, and with the encoder fine-tuned after it was frozen for
``--unfreeze-at`` updates. No decoder copies, so that nothing but the encoder differs; docstrings are trained from
scratch once more with a decoder that does. Runs that are finished are not trained again. Other flags are passed on to
all trainings, such as ``--train.max-minutes 10``.

FOLDER/pretrained_text.md is the table, and FOLDER/pretrained_text.png shows its scores by size.
"""

import argparse
import random
from pathlib import Path

import matplotlib

from tasks import run
from tasks.common.cli.variants import to_markdown
from tasks.common.files import load_json, load_json_lines, save_atomically, to_json
from tasks.summarization.docstrings import load_docstrings

matplotlib.use("agg")
from matplotlib import pyplot

SPLITS = {"train": "train", "validation": "val", "test": "test"}  # of a dataset: its name in Multi30k
METRICS = {"translation": "bleu", "summarization": "rougeL"}
TITLES = {"translation": "Multi30k, English to German: BLEU", "summarization": "docstrings: ROUGE-L"}


def load_corpus(task: str, multi30k: Path) -> dict[str, list[dict[str, str]]]:
    """Load the pairs of each split; those of training in an order of their own."""
    corpus: dict[str, list[dict[str, str]]] = {}
    for split, name in SPLITS.items():
        if task == "translation":
            files = [(multi30k / f"{name}.{side}").read_text(encoding="utf-8").splitlines() for side in ("en", "de")]
            pairs = zip(*files, strict=True)
        else:
            table = load_docstrings(split)
            pairs = zip(table["source"], table["target"], strict=True)
        names = ("en", "de") if task == "translation" else ("document", "summary")
        corpus[split] = [dict(zip(names, pair, strict=True)) for pair in pairs]
    random.Random(1).shuffle(corpus["train"])
    return corpus


def write_dataset(corpus: dict[str, list[dict[str, str]]], folder: Path, num_examples: int) -> None:
    """Write the first training examples of a corpus, and its other splits, as tables."""
    for split, rows in corpus.items():
        kept = rows[:num_examples] if split == "train" else rows
        save_atomically(folder / f"{split}.jsonl", "".join(to_json(row) + "\n" for row in kept))


def variants(task: str, options: argparse.Namespace) -> dict[str, list[str]]:
    """Return the flags of each variant by its name."""
    pretrained = ["--encoder.pretrained", options.pretrained]
    thaw = ["--train.encoder-lr", f"{options.encoder_lr:g}", "--train.unfreeze-at", f"{options.unfreeze_at}"]
    named = {"from scratch": [], "frozen": pretrained, "fine-tuned": [*pretrained, *thaw]}
    if task == "translation":
        return named
    named = {name: [*flags, "--decoder.no-copy"] for name, flags in named.items()}
    return named | {"from scratch, copying": []}


def measure(task: str, data: Path, folder: Path, flags: list[str]) -> dict:
    """Train a variant and evaluate it, unless that has been done, and return its report on the test split."""
    languages = ["--source", "en", "--target", "de"] if task == "translation" else []
    if not (folder / "domain.json").is_file():  # which training writes last
        resume = ["--resume"] if (folder / "last").is_dir() else ["--data", str(data), *languages, *flags]
        run.main([task, "train", *([] if "--resume" in resume else ["small"]), "--run", str(folder), *resume])
    report = folder / "evaluation" / "test.json"
    if not report.is_file():
        run.main([task, "evaluate", str(folder)])
    return load_json(report)


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description="From scratch, frozen and fine-tuned, by the size of the data.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pretrained", required=True, help="folder or name of a text encoder")
    parser.add_argument("--multi30k", type=Path, help="its folder, with train.en and the like")
    parser.add_argument("--sizes", type=int, nargs="*", default=[1000, 5000, 29_000])
    parser.add_argument("--only", nargs="*", help="names of variants")
    parser.add_argument("--tasks", nargs="*", default=list(METRICS), choices=list(METRICS))
    parser.add_argument("--encoder-lr", type=float, default=1e-4)
    parser.add_argument("--unfreeze-at", type=int, default=200)
    options, passed_on = parser.parse_known_args()
    rows: list[dict[str, str]] = []
    scores: dict[str, dict[str, dict[int, tuple[float, tuple[float, float]]]]] = {}
    for task in options.tasks:
        if task == "translation" and options.multi30k is None:
            continue
        corpus, metric = load_corpus(task, options.multi30k), METRICS[task]
        for size in options.sizes:
            data = options.out / task / f"{size}"
            write_dataset(corpus, data, size)
            for name, flags in variants(task, options).items():
                if options.only is not None and name not in options.only:
                    continue
                folder = options.out / task / f"{size}-{name.replace(', ', '-').replace(' ', '-')}"
                report = measure(task, data, folder, [*flags, *passed_on])
                score, (low, high) = report["metrics"][metric], report["intervals"][metric]
                last = load_json_lines(folder / "metrics.jsonl")[-1]
                rows.append(
                    {
                        "data": TITLES[task],
                        "pairs": f"{size:,}",
                        "encoder": name,
                        "score (95 %)": f"{score:.2f} ({low:.2f}–{high:.2f})",
                        "updates": f"{last['step']:,}",
                        "minutes": f"{last['seconds'] / 60:.1f}",
                    }
                )
                scores.setdefault(task, {}).setdefault(name, {})[size] = score, (low, high)
                save_atomically(options.out / "pretrained_text.md", to_markdown(rows))
    plot(scores, options.out / "pretrained_text.png")
    print(to_markdown(rows), end="")


def plot(scores: dict[str, dict[str, dict[int, tuple[float, tuple[float, float]]]]], path: Path) -> None:
    """Plot the scores of each task with their 95 % intervals over the number of training pairs."""
    figure, grid = pyplot.subplots(1, len(scores), figsize=(6 * len(scores), 4), layout="constrained", squeeze=False)
    for axes, (task, by_name) in zip(grid[0], scores.items(), strict=True):
        for name, by_size in by_name.items():
            values = [score for score, _ in by_size.values()]
            low, high = zip(*(interval for _, interval in by_size.values()), strict=True)
            (line,) = axes.plot(list(by_size), values, marker="o", label=name)
            axes.fill_between(list(by_size), low, high, color=line.get_color(), alpha=0.15)
        sizes = sorted({size for by_size in by_name.values() for size in by_size})
        axes.set(xscale="log", xlabel="training pairs", title=TITLES[task], ylim=(0, None))
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes], minor=False)
        axes.minorticks_off()
        axes.legend()
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
